import type { StoredTime } from '../times.ts'

const MOST_SHAPES = 3
const LONGEST_SHAPE = 30

/** Counts values that are kept because they are not times. */
export class UnreadableRows {
  undated = 0
  unreadable = 0
  readonly #shapes = new Set<string>()

  get shapes(): readonly string[] {
    return [...this.#shapes]
  }

  add(value: StoredTime): void {
    if (value === null) {
      this.undated++
      return
    }
    this.unreadable++
    if (this.#shapes.size < MOST_SHAPES) this.#shapes.add(shapeOf(value))
  }

  with(other: UnreadableRows): UnreadableRows {
    const sum = new UnreadableRows()
    sum.undated = this.undated + other.undated
    sum.unreadable = this.unreadable + other.unreadable
    for (const shape of [...this.shapes, ...other.shapes].slice(0, MOST_SHAPES)) sum.#shapes.add(shape)
    return sum
  }
}

/** What an unreadable time looks like, without its content: digits as 9, letters as a. */
export function shapeOf(value: StoredTime): string {
  if (value instanceof Uint8Array) return 'a BLOB'
  if (value === '') return 'empty text'
  const text = String(value)
  const shape = text.slice(0, LONGEST_SHAPE).replace(/\p{L}/gu, 'a').replace(/\p{N}/gu, '9')
  return text.length > LONGEST_SHAPE ? `${shape}…` : shape
}
