"""The form in which an admin describes a provider of imagery."""

import re

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from labels.errors import LabelsError
from labels.imagery import loading
from labels.imagery.providers import addresses, listing
from labels.imagery.providers.offers import day_of
from labels.models import ImagerySource, Project

Kind = ImagerySource.Kind
TEXTS = ("layer", "style", "releases", "collection", "asset", "datetime")
NUMBERS = ("min_zoom", "max_zoom")
OWN = (*TEXTS, *NUMBERS, "dates", "bbox", "blanks")
SPECIAL = ("layer", "style", "collection", "asset", "datetime", "bbox", "min_zoom", "max_zoom", "blanks")
RIGHTS = ("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train", "purpose", "evidence",
          "rights_expire_on")  # fmt: skip
DATE_LINE = re.compile(r"^\s*(?P<key>[^=]{1,200}?)\s*(?:=\s*(?P<day>\d{4}-\d{2}-\d{2}|\?)\s*)?$")
SHA256 = re.compile(r"^[0-9a-f]{64}$")


class Part:
    """Some fields of the form; shown folded where they are special, none is filled and none is wrong."""

    def __init__(self, title, visible_fields: list, *, is_special: bool = False):
        self.title, self.visible_fields = title, visible_fields
        self.is_folded = is_special and not any(field.value() or field.errors for field in visible_fields)
        self.is_special = is_special


class ProviderForm(forms.ModelForm):
    """The key is written, never shown; what its protocol needs is kept with the source's options."""

    layer = forms.CharField(label=_("Layer"), required=False, max_length=200, help_text=_("Of WMTS and WMS."))
    style = forms.CharField(label=_("Style"), required=False, max_length=200)
    dates = forms.CharField(
        label=_("Dates"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_(
            "One a line, as {date} becomes it. Write 2019-02-09 where that is also the day of capture, otherwise"
            " “its name = 2019-02-09”, or “its name = ?” if the day of capture is not known. Leave it empty where the"
            " provider lists its dates itself."
        ),
    )
    releases = forms.CharField(
        label=_("List of releases"),
        required=False,
        max_length=1000,
        help_text=_("The https address of a JSON list of releases, as Wayback publishes it."),
    )
    collection = forms.CharField(label=_("Collection"), required=False, max_length=300, help_text=_("Of STAC."))
    asset = forms.CharField(
        label=_("Asset"), required=False, max_length=100, help_text=_("Of STAC; empty takes the one to look at.")
    )
    datetime = forms.CharField(
        label=_("Time span"), required=False, max_length=60, help_text=_("Of STAC, for example 2020-01-01/2024-12-31.")
    )
    bbox = forms.CharField(
        label=_("Area"),
        required=False,
        max_length=100,
        help_text=_("West, south, east, north in degrees; empty takes the project's areas."),
    )
    min_zoom = forms.IntegerField(label=_("Smallest zoom"), required=False, min_value=0, max_value=22)
    max_zoom = forms.IntegerField(
        label=_("Largest zoom"),
        required=False,
        min_value=0,
        max_value=22,
        help_text=_("Beyond it providers enlarge their pictures. The resolution is taken from it."),
    )
    blanks = forms.CharField(
        label=_("Placeholders"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("SHA-256 of pictures that say “no data”, one a line. Tiles of one colour are recognised anyway."),
    )

    class Meta:
        model = ImagerySource
        fields = [
            *("kind", "name", "address", "access_key", "attribution", "layer", "style", "dates", "releases"),
            *("collection", "asset", "datetime", "bbox", "min_zoom", "max_zoom", "blanks"),
            *("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train"),
            *("purpose", "evidence", "rights_expire_on"),
        ]
        widgets = {
            "access_key": forms.PasswordInput(attrs={"autocomplete": "off"}),
            "rights_expire_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }
        help_texts = {
            "address": _(
                "https, with {z}, {x}, {y} (or {-y}, {q}), {date} and {key} where they belong. Of WMTS, WMS and"
                " TileJSON that of the service; of STAC that of the catalogue, collection or item."
            ),
            "access_key": _("Kept on the server: no page, log or release shows it again."),
            "may_view": _(
                "Bing: no (free keys ended on 30 June 2025). Esri World Imagery and Google: only with a licence of"
                " yours."
            ),
            "may_cache": _("Esri's terms forbid storing; open imagery (Sentinel-2) and your own allow it."),
            "may_derive_labels": _(
                "Planet NICFI: yes where the purpose is recorded. Planet E&R and Maxar: internally. Esri and Google:"
                " ask. Without this right annotators are not offered the imagery."
            ),
            "may_share_labels": _("Planet E&R: no. Maxar: ask."),
            "may_train": _("Ask the provider, unless its licence is open."),
            "evidence": _("The licence, contract or letter that says so, and its date."),
        }

    def __init__(self, *args, project: Project, **kwargs):
        super().__init__(*args, **kwargs)
        self.project = project
        self.before = (self.instance.address, self.instance.access_key) if self.instance.pk else ("", "")
        self.fields["kind"].choices = [choice for choice in Kind.choices if choice[0] != Kind.SCENES]
        for name in ("may_cache", "may_derive_labels", "may_share_labels", "may_train"):
            if not self.instance.pk:
                self.fields[name].initial = False
        if self.instance.pk:
            self.fields["kind"].disabled = True
            self.fields["access_key"].help_text = _("Leave it empty to keep the key as it is.")
            self._fill(self.instance.options)

    def parts(self) -> list["Part"]:
        """The fields in groups, as the page shows them."""
        return [
            Part(_("The provider"), [self[name] for name in ("kind", "name", "address", "access_key", "attribution")]),
            Part(_("Its dates"), [self[name] for name in ("dates", "releases")]),
            Part(_("Only where its kind needs it"), [self[name] for name in SPECIAL], is_special=True),
            Part(_("What its licence allows"), [self[name] for name in RIGHTS]),
        ]

    def _fill(self, options: dict) -> None:
        for name in (*TEXTS, *NUMBERS):
            self.fields[name].initial = options.get(name)
        self.fields["dates"].initial = "\n".join(map(_line, options.get("dates") or []))
        self.fields["bbox"].initial = ", ".join(map(str, options.get("bbox") or []))
        self.fields["blanks"].initial = "\n".join(options.get("blanks") or [])

    def clean_name(self):
        name = self.cleaned_data["name"]
        slug = loading.slug_of(name)
        if slug is None:
            raise forms.ValidationError(_("Use letters or digits."))
        if not self.instance.pk:
            if ImagerySource.objects.filter(project=self.project, slug=slug).exists():
                raise forms.ValidationError(_("There is already a source of that name."))
            self.instance.slug = slug
        return name

    def clean_dates(self):
        found = []
        for line in filter(str.strip, self.cleaned_data["dates"].splitlines()):
            match = DATE_LINE.match(line)
            if not match or (match["day"] and match["day"] != "?" and day_of(match["day"]) is None):
                raise forms.ValidationError(_("“%(line)s” is no date.") % {"line": line[:60]})
            if match["day"] is None and day_of(match["key"]) is None:
                raise forms.ValidationError(
                    _("When was “%(line)s” captured? Write “%(line)s = 2019-02-09” or “= ?”.") % {"line": line[:60]}
                )
            day = match["day"] if match["day"] != "?" else None
            found.append(match["key"] if match["day"] is None else {"key": match["key"], "captured_on": day})
        return found

    def clean_bbox(self):
        text = self.cleaned_data["bbox"].strip()
        if not text:
            return None
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError:
            raise forms.ValidationError(_("Write four numbers: west, south, east, north.")) from None
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise forms.ValidationError(_("Write west, south, east, north in degrees."))
        return [west, south, east, north]

    def clean_blanks(self):
        found = [line.strip().lower() for line in self.cleaned_data["blanks"].splitlines() if line.strip()]
        if not all(SHA256.match(line) for line in found):
            raise forms.ValidationError(_("A SHA-256 has 64 digits from 0 to f."))
        return found

    def clean_releases(self):
        try:
            addresses.check_template(self.cleaned_data["releases"])
        except LabelsError as error:
            raise forms.ValidationError(str(error)) from None
        return self.cleaned_data["releases"]

    def clean_access_key(self):
        return self.cleaned_data["access_key"] or self.before[1]

    def clean(self):
        given = self.cleaned_data
        if self.errors:
            return given
        if self.before[1] and given["access_key"] == self.before[1] and not self.data.get("access_key"):
            self._check_same_host(given["address"])
            if self.errors:
                return given
        # What the provider told of itself stays until it is asked again, and so does what the command alone can give.
        own = {name: value for name, value in self.instance.options.items() if name not in OWN}
        own |= {name: given.get(name) for name in OWN if given.get(name) not in (None, "", [])}
        self.instance.options = own
        self.instance.project = self.project
        probe = ImagerySource(
            project=self.project,
            kind=given["kind"],
            address=given["address"],
            access_key=given["access_key"],
            options=own,
        )
        try:
            listing.check_address(probe, frozenset(settings.IMAGERY_ALLOWED_HOSTS))
        except LabelsError as error:
            self.add_error("address", str(error))
        return given

    def _check_same_host(self, address: str) -> None:
        """A key that one admin gave to one host is not sent to another by the next."""
        if addresses.host_of(address) != addresses.host_of(self.before[0]):
            self.add_error(
                "access_key", _("The host is another one now: give its key, it is not sent there otherwise.")
            )


def _line(entry) -> str:
    return f"{entry.get('key')} = {entry.get('captured_on') or '?'}" if isinstance(entry, dict) else str(entry)
