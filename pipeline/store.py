"""The commands `eri store …`: upkeep of the embedding cache."""

from pathlib import Path
from typing import Annotated

import typer

from features.cache import default_cache_root, list_cache, prune_cache, seed_cache, verify_cache
from pipeline.result_cache import remove_unused_results
from pipeline.terminal import Json, say

app = typer.Typer(
    help="Look after the embedding cache, .eri-cache or $ERI_CACHE.", no_args_is_help=True
)


@app.command("ls")
def ls_command(as_json: Json = False) -> None:
    """List what is cached, by encoder, the last used first.

    Example: eri store ls
    """
    entries = list_cache(default_cache_root())
    lines = [f"{'identity':32} {'clips':>8} {'MiB':>8} {'unused':>8}  encoder"]
    for entry in entries:
        spec = entry["description"].get("spec", {})
        encoder = " ".join(str(spec[key]) for key in ("kind", "model", "weights") if spec.get(key))
        lines.append(
            f"{entry['identity']:32} {entry['n_clips']:8} {entry['n_bytes'] / 2**20:8.1f} "
            f"{entry['unused_days']:6.1f} d  {encoder}"
        )
    say(as_json, entries, lines)


@app.command("verify")
def verify_command(as_json: Json = False) -> None:
    """Check all that is cached; status 1 when it is damaged.

    Example: eri store verify
    """
    found = dict(verify_cache(default_cache_root()))
    damaged = [{"path": path, "what": what} for path, what in found.items() if what is not None]
    lines = [f"{each['path']}: damaged: {each['what']}" for each in damaged]
    lines.append(f"{len(found)} embeddings, {len(damaged)} damaged")
    if damaged:
        lines.append("they are computed again when needed; `eri store gc` removes them")
    say(as_json, {"n_embeddings": len(found), "damaged": damaged}, lines)
    if damaged:
        raise typer.Exit(1)


@app.command("gc")
def gc_command(
    unused_for_days: Annotated[
        float, typer.Option(min=0, help="Days after which it goes; 0: all.")
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Remove what no run used lately, and what is damaged.

    Embeddings go by encoder; fits and pooled clip vectors, which are kept beside them, one by one.
    What is removed can be computed again; a run that uses it just then has to be started again.

    Example: eri store gc --unused-for-days 90
    """
    removed, n_bytes = prune_cache(default_cache_root(), unused_for_days)
    n_results, n_result_bytes = remove_unused_results(unused_for_days)
    n_bytes += n_result_bytes
    content = {"removed": removed, "n_results_removed": n_results, "n_bytes_freed": n_bytes}
    fits = f"{n_results} fits and tables of pooled clip vectors"
    lines = [f"removed {each}" for each in [*removed, fits]]
    say(as_json, content, [*lines, f"{n_bytes / 2**20:.1f} MiB freed"])


@app.command("seed")
def seed_command(
    stores: Annotated[list[Path], typer.Argument(help="Folders of feature stores.")],
    as_json: Json = False,
) -> None:
    """Fill the cache from stores that others computed.

    Example: eri store seed data/features/clip data/features/resnet50
    """
    n_new = {str(store): seed_cache(store, default_cache_root()) for store in stores}
    lines = [f"{store}: {n} clips that were not cached before" for store, n in n_new.items()]
    say(as_json, n_new, lines)
