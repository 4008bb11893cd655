import { shapeOf } from '../shape.ts'
import type { StoredTime } from '../times.ts'

const MOST_SHAPES = 3

/** Counts what is kept because it is not a time. */
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
