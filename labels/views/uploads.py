"""A register comes in through the browser: send the file, say what its columns mean, see what would happen, import."""

from collections import Counter
from datetime import date
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from labels import editions, jobs
from labels.errors import BadInput, Conflict
from labels.flags import codes as flag_codes
from labels.ingest import meanings, registers, uploads
from labels.ingest.confined import SheetAsked
from labels.ingest.fields import FIELDS, guess_mapping, is_value, may_hold_id, resolve_mapping
from labels.ingest.readers import Reader, first_rows, open_rows
from labels.ingest.trial import Trial
from labels.models import Job, Project, Register, Upload
from labels.views.doors import in_project
from labels.views.register_map import background

# Below this size the whole file is tried before anything is stored, above it the first rows.
TRIED_WHOLE = 20 * 1024 * 1024
TRIED_ROWS = 20_000
SHOWN_REFUSALS = 20
SHOWN_REASONS = 12
SHOWN_ROWS, SHOWN_CELL = 8, 60
UNDECIDED = "?"
# What a choice decides, where its name does not say.
HELP = {
    "source_id": _("Names the site, not the visit."),
    "utm_zone": _("Only for positions in metres: their column, or one zone for the whole file."),
    "coordinate_order": _("Only where no N, S, E or W tells."),
    "date_order": _("Found out from the column where a day above 12 tells."),
    "stated_region": _("Compared with the area that each position lies in."),
}


class RegisterForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV in any usual encoding, Excel (xlsx), GeoJSON, zipped shapefile, GeoPackage or KML."),
    )
    register = forms.ModelChoiceField(
        label=_("Register"),
        queryset=Register.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label=_("A new register"),
        help_text=_("A later edition of a register you already have belongs to that register."),
    )
    name = forms.CharField(label=_("Name of the new register"), max_length=200, required=False)
    publisher = forms.CharField(label=_("Publisher"), max_length=200, required=False)
    licence = forms.CharField(
        label=_("Licence or terms"), max_length=200, required=False, help_text=_("What you may do with the list.")
    )

    published_on = forms.DateField(
        label=_("Published on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The date the list itself states; left empty, the edition has only the day it was loaded."),
    )

    def __init__(self, project: Project, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["register"].queryset = project.registers.all()
        if not self.fields["register"].queryset.exists():
            self.fields["register"].widget = forms.HiddenInput()

    def clean_published_on(self) -> date | None:
        published_on = self.cleaned_data["published_on"]
        if published_on:
            try:
                editions.check_published(published_on)
            except BadInput as error:
                raise forms.ValidationError(str(error)) from error
        return published_on

    def clean(self) -> dict:
        cleaned = super().clean()
        if not cleaned.get("register") and "register" not in self.errors:
            slug = slugify(cleaned.get("name", ""))[:50].strip("-")
            if not slug:
                self.add_error("name", _("Give the new register a name with letters or digits."))
            elif self.project.registers.filter(slug=slug).exists():
                self.add_error("name", _("A register of this project already has this name; choose it above."))
            cleaned["slug"] = slug
        return cleaned

    @transaction.atomic
    def save(self, user) -> Upload:
        """Keep the file, and make the register if it is new."""
        given = self.cleaned_data
        register = given["register"] or Register(
            project=self.project,
            slug=given["slug"],
            name=given["name"],
            publisher=given["publisher"],
            licence=given["licence"],
        )
        if register.pk is None:
            register.save()
        return uploads.store(
            given["file"], project=self.project, user=user, register=register, published_on=given["published_on"]
        )


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_register")
def register_new(request: HttpRequest, project: Project) -> HttpResponse:
    form = RegisterForm(
        project,
        request.POST or None,
        request.FILES or None,
        initial={"register": request.GET.get("register", "")},
    )
    if request.method == "POST" and form.is_valid():
        try:
            upload = form.save(request.user)
        except BadInput as error:
            form.add_error("file", str(error))
        else:
            return redirect("labels:mapping", project.slug, upload.uuid)
    return render(request, "labels/register_new.html", {"form": form, "section": "registers"})


@require_http_methods(["GET", "HEAD", "POST"])
@in_project("import_register")
def mapping(request: HttpRequest, project: Project, upload: UUID) -> HttpResponse:
    """What each field is read from, and what the import would do; the import itself is a job."""
    found = get_object_or_404(project.uploads.select_related("register"), uuid=upload, register__isnull=False)
    context = {"upload": found, "register": found.register, "section": "registers"}
    try:
        reader = open_rows(uploads.path_of(found), _sheet(request, found.register))
    except SheetAsked as error:
        return render(request, "labels/mapping.html", context | {"sheets": error.sheets})
    except BadInput as error:
        return render(request, "labels/mapping.html", context | {"unreadable": str(error)})
    chosen, doubts = _choices(request, reader, found.register)
    try:
        meanings.keep(found.register, _answers(request))
        mapping = _mapping(reader, chosen)
        # What the dates told is shown as chosen: a person may choose otherwise.
        chosen |= {name: mapping[name] for name in registers.DATE_CHOICES if name in mapping}
        if request.POST.get("action") == "import":
            return _ask(request, found, mapping)
        context |= _preview(found, mapping, reader)
    except (BadInput, Conflict) as error:
        context["problem"] = str(error)
    context |= {"facts": reader.facts, "fields": _fields(reader, chosen, doubts), "columns": _columns(reader, chosen)}
    context["empty"] = [each["name"] for each in context["columns"] if not (each["values"] or each["read_as"])]
    context |= {"doubts": _counted_doubts(reader, chosen, doubts), "first": _first_rows(reader)}
    return render(request, "labels/mapping.html", context)


def _sheet(request: HttpRequest, register: Register) -> str:
    return request.POST.get("field-sheet", register.column_mapping.get("sheet", ""))


def _choices(request: HttpRequest, reader: Reader, register: Register) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Field -> column as posted, else as saved for the register, else as guessed; and what is doubtful."""
    # The first question about a file of several tables is which: nothing else was answered then.
    if {name for name in request.POST if name.startswith("field-")} - {"field-sheet"}:
        return {field.name: request.POST.get(f"field-{field.name}", "") for field in FIELDS}, {}
    columns = set(reader.facts.columns)
    saved = {
        name: column for name, column in register.column_mapping.items() if column in columns or is_value(name, column)
    }
    sheet = {"sheet": reader.facts.sheet}
    if saved:
        return saved | sheet, {}
    guess = guess_mapping(reader.facts.columns, has_geometry=reader.facts.has_geometry)
    return sheet | guess.mapping | dict.fromkeys(guess.doubts, UNDECIDED), guess.doubts


def _mapping(reader: Reader, chosen: dict[str, str]) -> dict[str, str]:
    undecided = [str(field.label) for field in FIELDS if chosen.get(field.name) == UNDECIDED]
    if undecided:
        raise BadInput(_("Several columns could be meant. Choose for: %s.") % ", ".join(undecided))
    complete = {field.name: chosen.get(field.name, "") for field in FIELDS} | {"sheet": reader.facts.sheet}
    mapping = resolve_mapping(reader.facts.columns, chosen=complete, has_geometry=reader.facts.has_geometry)
    return registers.with_date_choices(reader, mapping)


def _ask(request: HttpRequest, upload: Upload, mapping: dict[str, str]) -> HttpResponse:
    job = jobs.ask(
        project=upload.project,
        kind=Job.Kind.LOAD_REGISTER,
        subject=f"{upload.register.slug}: {upload.file_name}",
        requested_by=request.user,
        parameters=registers.parameters_of(upload.register, mapping, upload=upload),
    )
    messages.success(request, _("The import has been asked for."))
    return redirect("labels:job", upload.project.slug, job.uuid)


def _preview(upload: Upload, mapping: dict[str, str], reader: Reader) -> dict:
    n_rows = None if upload.n_bytes < TRIED_WHOLE else TRIED_ROWS
    path = uploads.path_of(upload)
    found = registers.preview(path, mapping=mapping, register=upload.register, n_rows=n_rows, reader=reader)
    known = registers.known_edition(upload.register, registers.file_sha256(path), mapping)
    trial = found.trial
    return {
        "preview": found,
        "refusals": found.refusals[:SHOWN_REFUSALS],
        "reasons": Counter(reason for _row, _column, _value, reason in found.refusals).most_common(SHOWN_REASONS),
        "known": known,
        "trial_flags": [
            (flag_codes.label_of(code), flag_codes.meaning_of(code), trial.flags[code])
            for code in flag_codes.in_order(list(trial.flags))
        ],
        "map_data": _map(upload.project, trial) if trial.bounds else None,
        "meanings": found.meanings,
        "n_asked": sum(len(each.asked) for each in found.meanings),
    }


def _map(project: Project, trial: Trial) -> dict:
    """Where the rows would lie; nothing of it is stored."""
    words = {
        "record": str(_("%s row")),
        "records": str(_("%s rows")),
        "asSquares": str(_("%s with a position, counted in squares.")),
        "asPoints": str(_("%s with a position, each a point.")),
    }
    return background(project, **words) | {"bounds": trial.bounds, "features": trial.features}


def _answers(request: HttpRequest) -> list[tuple[str, str, str]]:
    """(field, word, code) of each word that the page asked about, as posted."""
    answers = []
    for name in request.POST:
        _word, said, place = name.partition("word-")
        if said and not _word:
            answers.append((place.rpartition("-")[0], request.POST[name], request.POST.get(f"code-{place}", "")))
    return answers


def _first_rows(reader: Reader) -> list[tuple[int, list[str]]]:
    """(row, cells) of the beginning of the file, as it states them."""
    return [
        (row.file_row, [row.values.get(column, "")[:SHOWN_CELL] for column in reader.facts.columns])
        for row in first_rows(reader, SHOWN_ROWS)
    ]


def _fields(reader: Reader, chosen: dict[str, str], doubts: dict[str, list[str]]) -> list[dict]:
    return [
        {
            "name": field.name,
            "label": field.label,
            "chosen": chosen.get(field.name, ""),
            "is_doubtful": chosen.get(field.name) == UNDECIDED,
            "help": HELP.get(field.name, ""),
            "columns": reader.facts.columns if field.is_column else [],
            "values": [(name, name) for name in reader.facts.sheets]
            if field.name == "sheet"
            else list(field.values.items()),
        }
        for field in FIELDS
        if field.name != "sheet" or reader.facts.sheets
    ]


def _columns(reader: Reader, chosen: dict[str, str]) -> list[dict]:
    rows = first_rows(reader, 200)
    labels = {field.name: field.label for field in FIELDS}
    read_as = {column: labels[name] for name, column in chosen.items() if column}
    return [
        {"name": column, "read_as": read_as.get(column, ""), "values": _first_values(rows, column)}
        for column in reader.facts.columns
    ]


def _first_values(rows: list, column: str, n: int = 3) -> list[str]:
    """The first different values that say something."""
    values = dict.fromkeys(row.values.get(column, "").strip() for row in rows)
    return [value[:80] for value in values if value][:n]


def _counted_doubts(reader: Reader, chosen: dict[str, str], doubts: dict[str, list[str]]) -> list[tuple[str, int]]:
    """The candidates for the id with their distinct values: the one number that decides."""
    if chosen.get("source_id") != UNDECIDED:
        return []
    candidates = doubts.get("source_id") or [c for c in reader.facts.columns if may_hold_id(c)]
    return list(registers.distinct_counts(reader, candidates).items())
