import type { Style } from './style.ts'

/** What charts are made of. The characters for bars fill more and more of a cell, and the last one all of it. */
export interface Strokes {
  readonly rightwards: string
  /** What continues a bar and is of another kind. */
  readonly further: string
  readonly upwards: string
  readonly axis: { readonly side: string; readonly corner: string; readonly bottom: string }
}

/** Horizontal bars are not made of the full block, so that those on neighbouring lines do not touch. */
const BLOCKS: Strokes = { rightwards: '▇', further: '░', upwards: '▁▂▃▄▅▆▇█', axis: { side: '│', corner: '└', bottom: '─' } }
const PLAIN: Strokes = { rightwards: '#', further: '-', upwards: '.:#', axis: { side: '|', corner: '+', bottom: '-' } }

/** Blocks if the terminal supports colours and its locale is UTF-8; `undefined`: there is no terminal, and no chart. */
export function strokesOf({ control, unicode, columns }: Style): Strokes | undefined {
  if (!Number.isFinite(columns)) return undefined
  return control && unicode ? BLOCKS : PLAIN
}

/** A bar for each value, the largest one `cells` characters long. A value above zero is always visible, zero never. */
export function bars(values: readonly number[], cells: number, filling: string): string[] {
  const most = values.reduce((a, b) => Math.max(a, b), 0)
  const steps = filling.length
  return values.map((value) => {
    if (value <= 0 || cells < 1) return ''
    const filled = Math.max(1, Math.round((value / most) * cells * steps))
    return filling[steps - 1]!.repeat(Math.floor(filled / steps)) + (filling[(filled % steps) - 1] ?? '')
  })
}

/** The same as columns, side by side: `cells` lines from the top down, with one character for each value. */
export function uprightBars(values: readonly number[], cells: number, filling: string): string[] {
  const drawn = bars(values, cells, filling)
  return Array.from({ length: cells }, (_, line) => drawn.map((bar) => bar[cells - 1 - line] ?? ' ').join(''))
}
