/** What a batch costs, as the last ones have shown. */
export interface Cost {
  /** What it takes whatever its size; `undefined`: not known yet, so that all of it may be its rows'. */
  readonly fixedMs: number | undefined
  readonly rowMs: number
  /** The last batch. */
  readonly rows: number
  readonly heldMs: number
}

/** A batch of two sizes tells what a row costs; one of the same size as before, whether that has changed. */
export function costAfter(before: Cost | undefined, rows: number, heldMs: number): Cost {
  if (before === undefined) return unknown(rows, heldMs)
  if (rows >= 2 * before.rows || before.rows >= 2 * rows) {
    const rowMs = Math.min(Math.max(0, (heldMs - before.heldMs) / (rows - before.rows)), heldMs / rows)
    return { fixedMs: heldMs - rowMs * rows, rowMs, rows, heldMs }
  }
  if (before.fixedMs === undefined || heldMs < (before.fixedMs + before.rowMs * rows) / 2) return unknown(rows, heldMs)
  const fixedMs = Math.min(before.fixedMs, heldMs)
  return { fixedMs, rowMs: (heldMs - fixedMs) / rows, rows, heldMs }
}

function unknown(rows: number, heldMs: number): Cost {
  return { fixedMs: undefined, rowMs: heldMs / rows, rows, heldMs }
}
