import type { Style } from './style.ts'

/** What charts are made of. Bars: characters that fill a cell more and more, the last one all of it. */
export interface Strokes {
  readonly rightwards: string
  readonly upwards: string
  readonly axis: { readonly side: string; readonly corner: string; readonly bottom: string }
}

/** Bars below each other do not touch: theirs is not the whole block. */
const BLOCKS: Strokes = { rightwards: '▇', upwards: '▁▂▃▄▅▆▇█', axis: { side: '│', corner: '└', bottom: '─' } }
const PLAIN: Strokes = { rightwards: '#', upwards: '.:#', axis: { side: '|', corner: '+', bottom: '-' } }

/** Blocks where the terminal takes colours and its locale has them; `undefined`: no terminal, no chart. */
export function strokesOf({ control, unicode, columns }: Style): Strokes | undefined {
  if (!Number.isFinite(columns)) return undefined
  return control && unicode ? BLOCKS : PLAIN
}

/** A bar for each value, the largest one `cells` characters long. A value above zero is always seen, zero never. */
export function bars(values: readonly number[], cells: number, filling: string): string[] {
  const most = values.reduce((a, b) => Math.max(a, b), 0)
  const steps = filling.length
  return values.map((value) => {
    if (value <= 0 || cells < 1) return ''
    const filled = Math.max(1, Math.round((value / most) * cells * steps))
    return filling[steps - 1]!.repeat(Math.floor(filled / steps)) + (filling[(filled % steps) - 1] ?? '')
  })
}

/** The same upright, side by side: `cells` lines from the top down, each as long as there are values. */
export function uprightBars(values: readonly number[], cells: number, filling: string): string[] {
  const drawn = bars(values, cells, filling)
  return Array.from({ length: cells }, (_, line) => drawn.map((bar) => bar[cells - 1 - line] ?? ' ').join(''))
}
