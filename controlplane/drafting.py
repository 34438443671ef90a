"""What a version records of the task that it was made for.

Pure; between the nouns task and artifact, which do not know each other. Never: reads a database.
"""

from controlplane.artifacts.draft import DraftTask
from controlplane.tasks.specification import Task


def draft_task(task: Task) -> DraftTask:
    """Return the task as of now, with the schemas in force."""
    return DraftTask(
        id=task.id,
        organisation_id=task.organisation_id,
        name=task.name,
        description=task.specification.description,
        revision=task.revision,
        input_schema=task.input_schema,
        output_schema=task.output_schema,
    )
