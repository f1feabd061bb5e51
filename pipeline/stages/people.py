"""Stage `people`: who each clip shows, by its group or by its face."""

from features.store_writer import write_clip_vectors
from pipeline.clip_table import read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import FACES, PEOPLE, PEOPLE_REPORT
from pipeline.people import face_vectors, find_people, write_record


def main() -> None:
    """Write ``data/people.parquet``, ``data/people.json`` and ``data/faces.parquet``."""
    params = load_params(check_heads=False)
    clips = read_clip_table()
    faces = face_vectors(clips, params)
    people, record = find_people(clips, faces, params)
    people.to_parquet(PEOPLE, index=False)
    write_clip_vectors(FACES, clips["clip_id"].to_numpy(object), faces, {})
    print(f"{len(people)} clips of {record['n_people']} people, by {record['source']}")
    write_record(PEOPLE_REPORT, record)


if __name__ == "__main__":
    run_or_exit(main)
