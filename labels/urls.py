"""Pages, tiles and downloads. Every path below p/<project>/ is opened by labels.views.doors.in_project."""

from django.urls import path

from labels.views import (
    areas,
    audits,
    duplicates,
    editions,
    imagery,
    imagery_sources,
    jobs,
    people,
    pictures,
    projects,
    providers,
    records,
    register_map,
    registers,
    releases,
    reliability,
    review,
    tiles,
    uploads,
)

app_name = "labels"

urlpatterns = [
    path("", projects.projects, name="projects"),
    path("p/<slug:project>/", projects.overview, name="overview"),
    # audits and the review loop
    path("p/<slug:project>/audits/", audits.audits, name="audits"),
    path("p/<slug:project>/audits/new/", audits.audit_new, name="audit_new"),
    path("p/<slug:project>/audits/<slug:audit>/", audits.audit, name="audit"),
    path("p/<slug:project>/audits/<slug:audit>/seen/csv/", audits.audit_seen, name="audit_seen"),
    path("p/<slug:project>/audits/<slug:audit>/review/", review.review, name="review"),
    path("p/<slug:project>/audits/<slug:audit>/review/mine/", review.mine, name="my_reviews"),
    path("p/<slug:project>/reviews/<uuid:review>/undo/", review.undo, name="review_undo"),
    # registers and their records
    path("p/<slug:project>/registers/", registers.registers, name="registers"),
    path("p/<slug:project>/registers/new/", uploads.register_new, name="register_new"),
    path("p/<slug:project>/registers/<slug:register>/", registers.register, name="register"),
    path("p/<slug:project>/registers/<slug:register>/records/", records.records, name="records"),
    path("p/<slug:project>/registers/<slug:register>/map", register_map.register_map, name="register_map"),
    path("p/<slug:project>/registers/<slug:register>/editions/<int:number>/", registers.edition, name="edition"),
    path(
        "p/<slug:project>/registers/<slug:register>/editions/<int:number>/withdraw/",
        editions.edition_withdraw,
        name="edition_withdraw",
    ),
    path(
        "p/<slug:project>/registers/<slug:register>/editions/<int:number>/refused.csv",
        registers.refused_csv,
        name="refused_csv",
    ),
    path("p/<slug:project>/records/<uuid:record>/", records.record, name="record"),
    path("p/<slug:project>/duplicates/", duplicates.duplicates, name="duplicates"),
    path("p/<slug:project>/duplicates/search/", duplicates.search, name="duplicates_search"),
    path("p/<slug:project>/duplicates/<int:pair>/", duplicates.decide, name="duplicate_decide"),
    path("p/<slug:project>/uploads/<uuid:upload>/", uploads.mapping, name="mapping"),
    # areas
    path("p/<slug:project>/areas/", areas.areas, name="areas"),
    path("p/<slug:project>/areas/outlines", register_map.area_outlines, name="area_outlines"),
    path("p/<slug:project>/areas/new/", areas.area_layer_new, name="area_layer_new"),
    # imagery
    path("imagery/<uuid:source>/<int:z>/<int:x>/<int:y>", tiles.tile, name="tile"),
    path("p/<slug:project>/imagery/", imagery.imagery, name="imagery"),
    path("p/<slug:project>/imagery/new/", pictures.imagery_new, name="imagery_new"),
    path("p/<slug:project>/imagery/register/", pictures.imagery_register, name="imagery_register"),
    path("p/<slug:project>/imagery/sources/<uuid:source>/", imagery_sources.imagery_source, name="imagery_source"),
    path(
        "p/<slug:project>/imagery/sources/<uuid:source>/edit/",
        imagery_sources.imagery_source_edit,
        name="imagery_source_edit",
    ),
    path(
        "p/<slug:project>/imagery/sources/<uuid:source>/evidence/",
        imagery_sources.imagery_evidence,
        name="imagery_evidence",
    ),
    path("p/<slug:project>/imagery/scenes/<uuid:scene>/remove/", imagery_sources.scene_remove, name="scene_remove"),
    path("p/<slug:project>/imagery/policy/", providers.imagery_policy, name="imagery_policy"),
    path("p/<slug:project>/imagery/providers/new/", providers.provider_new, name="provider_new"),
    path("p/<slug:project>/imagery/providers/<uuid:source>/", providers.provider, name="provider"),
    path("p/<slug:project>/imagery/providers/<uuid:source>/edit/", providers.provider_edit, name="provider_edit"),
    path("p/<slug:project>/imagery/providers/<uuid:source>/try/", providers.provider_try, name="provider_try"),
    path(
        "p/<slug:project>/imagery/providers/<uuid:source>/refresh/", providers.provider_refresh, name="provider_refresh"
    ),
    path("p/<slug:project>/imagery/providers/<uuid:source>/remove/", providers.provider_remove, name="provider_remove"),
    path("p/<slug:project>/imagery/providers/<uuid:source>/fetch/", providers.provider_fetch, name="provider_fetch"),
    # reliability
    path("p/<slug:project>/reliability/", reliability.reliability, name="reliability"),
    path("p/<slug:project>/reliability/csv/", reliability.download, {"form": "csv"}, name="reliability_csv"),
    path("p/<slug:project>/reliability/json/", reliability.download, {"form": "json"}, name="reliability_json"),
    # releases
    path("p/<slug:project>/releases/", releases.releases, name="releases"),
    path("p/<slug:project>/releases/new/", releases.release_new, name="release_new"),
    path("p/<slug:project>/releases/<int:number>/", releases.release, name="release"),
    path("p/<slug:project>/releases/<int:number>/card/", releases.release_card, name="release_card"),
    path("p/<slug:project>/releases/<int:number>/files/<slug:format>/", releases.release_file, name="release_file"),
    path(
        "p/<slug:project>/releases/<int:number>/files/<slug:format>/new/",
        releases.release_file_new,
        name="release_file_new",
    ),
    # jobs
    path("p/<slug:project>/jobs/", jobs.jobs, name="jobs"),
    path("p/<slug:project>/jobs/<uuid:job>/", jobs.job, name="job"),
    path("p/<slug:project>/jobs/<uuid:job>/cancel/", jobs.cancel, name="job_cancel"),
    path("p/<slug:project>/jobs/<uuid:job>/retry/", jobs.retry, name="job_retry"),
    # people
    path("p/<slug:project>/people/", people.people, name="people"),
    path("p/<slug:project>/people/invite/", people.invite, name="invite"),
    path("p/<slug:project>/people/<int:membership>/", people.membership, name="membership"),
]
