import { createHash } from 'node:crypto'

/** The same seed and name give the same sequence, whatever else runs beside it. */
export interface Random {
  /** From 0 to below 1. */
  fraction(): number
  /** Both bounds included. */
  whole(least: number, most: number): number
  pick<T>(items: readonly T[]): T
}

export function randomOf(seed: number, name: string): Random {
  let state = createHash('sha256').update(`${seed}/${name}`).digest().readUInt32LE()
  // Mulberry32, public domain: 32 bits of state are plenty for moments and choices.
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const whole = (least: number, most: number): number => least + Math.floor(fraction() * (most - least + 1))
  return { fraction, whole, pick: (items) => items[whole(0, items.length - 1)]! }
}
