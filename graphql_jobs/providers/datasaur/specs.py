"""The specs of Datasaur jobs. Source: docs/providers/datasaur.md#what-starts-a-job."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, field_validator, model_validator

from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import Count, Name, show_boxes
from graphql_jobs.spec import JobSpec
from graphql_jobs.urls import Url

Role = Literal["LABELER", "REVIEWER"]
CommentType = Literal["ARROW_LABEL", "COMMENT", "SPAN_LABEL", "SPAN_TEXT"]


class AutoLabelSpec(JobSpec):
    """Label a span project with your own model (`autoLabelTokenBasedProject`)."""

    operation: ClassVar[str] = "autoLabelTokenBasedProject"
    title: ClassVar[str] = "Datasaur auto-labeling"

    project_id: Name = Field(description="The project to label.")
    labeler_email: Name = Field(description="The team member as whom labels are written.")
    target_endpoint: Url = Field(repr=False, description="Address of the model; Datasaur's servers must reach it.")
    target_secret: SecretStr = Field(description="What Datasaur shows to the model to be let in.")
    lines_per_request: Count = Field(default=0, description="Lines per call to the model; 0: all of a document.")
    role: Role | None = Field(default=None, description="In which role the labels are written.")

    @field_validator("target_secret")
    @classmethod
    def _is_not_blank(cls, secret: SecretStr) -> SecretStr:
        if not secret.get_secret_value().strip():
            raise InvalidInput("target_secret", "it is empty.")
        return secret

    @property
    def subject(self) -> str:
        """For messages."""
        return f"project {self.project_id}"

    def to_wire(self) -> dict[str, Any]:
        """Return the value of `autoLabelTokenBasedProject(input:)`, which contains the secret."""
        wire: dict[str, Any] = {
            "labelerEmail": self.labeler_email,
            "projectId": self.project_id,
            # The name misleads: the documentation counts lines. Only CUSTOM works (docs/providers/datasaur.md).
            "options": {"numberOfFilesPerRequest": self.lines_per_request, "serviceProvider": "CUSTOM"},
            "targetAPI": {"endpoint": self.target_endpoint, "secretKey": self.target_secret.get_secret_value()},
        }
        return wire | ({"role": self.role} if self.role else {})


class ExportSpec(JobSpec):
    """Export one or more projects into one file (`exportTextProject`), for download or in your own storage."""

    operation: ClassVar[str] = "exportTextProject"
    title: ClassVar[str] = "Datasaur export"

    project_ids: list[Name] = Field(min_length=1, description="The projects to export.")
    file_name: Name = Field(description="Name of the file, without its ending.")
    format: Name = Field(default="JSON_ADVANCED", description="Such as JSON_ADVANCED, CSV, TSV or CONLL_2003.")
    role: Role = Field(default="REVIEWER", description="Whose labels are exported.")
    file_transformer_id: Name | None = Field(default=None, description="The transformer of a CUSTOM format.")
    included_comment_type: list[CommentType] = Field(default_factory=list, description="Comments to export.")
    object_storage_id: Name | None = Field(
        default=None, description="Your external object storage, to which Datasaur writes the file; none: a download."
    )
    object_storage_prefix: Name | None = Field(default=None, description="Beginning of the file's key in that storage.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.object_storage_prefix and not self.object_storage_id:
            raise ValueError("object_storage_prefix: it needs an object_storage_id")
        return self

    @property
    def subject(self) -> str:
        """For messages."""
        return f"projects {', '.join(self.project_ids)}"

    def to_wire(self) -> dict[str, Any]:
        """Return the value of `exportTextProject(input:)`."""
        prefix = {"prefix": self.object_storage_prefix} if self.object_storage_prefix else {}
        storage = {"externalObjectStorageId": self.object_storage_id} | prefix
        optional = {
            "fileTransformerId": self.file_transformer_id,
            "includedCommentType": self.included_comment_type,
            "externalObjectStorageParameter": storage if self.object_storage_id else None,
        }
        return {
            "projectIds": self.project_ids,
            "fileName": self.file_name,
            "format": self.format,
            "role": self.role,
            "method": "EXTERNAL_OBJECT_STORAGE" if self.object_storage_id else "FILE_STORAGE",
            **{name: value for name, value in optional.items() if value},
        }


class ProjectDocument(BaseModel):
    """One document of a new project: an uploaded file, or one at a public address."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, json_schema_extra=show_boxes)

    name: Name = Field(title="File name", description="With its ending, such as interview.txt.")
    external_url: Url | None = Field(
        default=None, repr=False, title="Address", description="Datasaur fetches the document from this address."
    )
    object_key: str | None = Field(
        default=None, title="Or key of an upload", description="Datasaur gave it for the uploaded file."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.external_url) == bool(self.object_key):
            raise ValueError("give either external_url or object_key")
        return self

    def to_wire(self) -> dict[str, Any]:
        """Return one item of `LaunchProjectInput.documents`."""
        where = {"externalUrl": self.external_url} if self.external_url else {"objectKey": self.object_key}
        return {"document": {"name": self.name, **where}}


class ProjectSpec(JobSpec):
    """Create a labeling project (`createProject`)."""

    operation: ClassVar[str] = "createProject"
    title: ClassVar[str] = "Datasaur project"

    name: Name = Field(description="The project's name; make it unique, since the server does not.")
    documents: list[ProjectDocument] = Field(min_length=1, max_length=100, description="The files to label.")
    team_id: Name | None = Field(default=None, description="The team; none is the personal workspace.")
    kinds: list[Literal["TOKEN_BASED", "ROW_BASED", "DOCUMENT_BASED", "BBOX_BASED"]] = Field(
        default=["TOKEN_BASED"], min_length=1, description="What is labeled."
    )
    purpose: Literal["LABELING", "LABELER_TEST", "VALIDATION"] = Field(default="LABELING", description="What for.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="More of createProject's input by its own names, such as tokenLabelSets."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = {"name", "documents", "teamId", "kinds", "purpose"} & self.settings.keys()
        if named:
            raise ValueError(f"settings: {', '.join(sorted(named))} has a separate parameter")
        return self

    @property
    def subject(self) -> str:
        """For messages."""
        return f"project {self.name!r}"

    def to_wire(self) -> dict[str, Any]:
        """Return the value of `createProject(input:)`."""
        return self.settings | {
            "name": self.name,
            "kinds": self.kinds,
            "purpose": self.purpose,
            "documents": [document.to_wire() for document in self.documents],
            **({"teamId": self.team_id} if self.team_id else {}),
        }
