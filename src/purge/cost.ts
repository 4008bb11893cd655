/** What deleting a batch costs, as the last ones have shown. */
export interface Cost {
  /** What it takes whatever its size; `undefined`: not known yet, so that all of it may be its rows'. */
  readonly fixedMs: number | undefined
  readonly rowMs: number
  /** The last batch. */
  readonly rows: number
  readonly tookMs: number
}

/** A batch of two sizes tells what a row costs; one of the same size as before, whether that has changed. */
export function costAfter(before: Cost | undefined, rows: number, tookMs: number): Cost {
  if (before === undefined) return unknown(rows, tookMs)
  if (rows >= 2 * before.rows || before.rows >= 2 * rows) {
    const rowMs = Math.min(Math.max(0, (tookMs - before.tookMs) / (rows - before.rows)), tookMs / rows)
    return { fixedMs: tookMs - rowMs * rows, rowMs, rows, tookMs }
  }
  if (before.fixedMs === undefined || tookMs < (before.fixedMs + before.rowMs * rows) / 2) return unknown(rows, tookMs)
  const fixedMs = Math.min(before.fixedMs, tookMs)
  return { fixedMs, rowMs: (tookMs - fixedMs) / rows, rows, tookMs }
}

function unknown(rows: number, tookMs: number): Cost {
  return { fixedMs: undefined, rowMs: tookMs / rows, rows, tookMs }
}
