import type { Spared, SparedRows } from '../../../policy/spared.ts'
import type { TimeColumn } from '../../purging.ts'
import type { Connection } from '../connection/connection.ts'
import type { Cutoff } from '../times.ts'
import { Judge } from './judge.ts'
import type { Layout } from './layout.ts'
import { columnNamed, groupEach, groupsOf, Sparing } from './spared-sql.ts'
import { TimeRanges } from './time-ranges.ts'
import { walkOf, type Walk } from './walk.ts'

export interface WalksOptions {
  readonly connection: Connection
  readonly column: TimeColumn
  readonly layout: Layout
  readonly cutoff: Cutoff
  readonly spared: SparedRows
  readonly timeZone: string
}

export interface Surveying {
  readonly walk: Walk
  readonly layout: Layout
  /** Of each group, whether the first walk leaves its rows out. */
  readonly leftOut: readonly boolean[]
}

/** The walks through a table for one cutoff: they differ in the rows that are spared. */
export class JudgedWalks {
  /** Leaves out what was spared when the run began. */
  readonly first: Walk
  readonly #options: WalksOptions
  readonly #ranges: TimeRanges
  readonly #spared: ReadonlySet<Spared>
  readonly #others = new WeakMap<SparedRows, Walk>()

  constructor(options: WalksOptions) {
    this.#options = options
    this.#ranges = new TimeRanges(options.timeZone)
    this.#spared = new Set(options.spared)
    this.first = this.#walk(options.spared)
  }

  /** Leaves out `spared`, too; the first walk itself if that adds nothing. */
  sparing(spared: SparedRows): Walk {
    const added = spared.filter((each) => !this.#spared.has(each))
    if (added.length === 0) return this.first
    const walk = this.#others.get(spared) ?? this.#walk([...this.#spared, ...added])
    this.#others.set(spared, walk)
    return walk
  }

  /** A walk over the same path that leaves nothing out and tells apart which of `spared` keep a row: those are its first groups. The others are those of the first walk. */
  surveying(spared: SparedRows): Surveying {
    const rangeOf = this.#ranges.of.bind(this.#ranges)
    const asked = new Set(spared)
    const groups = [
      ...groupEach(spared, rangeOf),
      ...groupsOf(
        [...this.#spared].filter((each) => !asked.has(each)),
        rangeOf,
      ),
    ]
    const leftOut = groups.map((_, group) => group >= spared.length || this.#spared.has(spared[group]!))
    return { walk: this.#walkOf(groups), layout: this.#options.layout, leftOut }
  }

  /** A walk that tells apart which of `spared` keep a row: those are its groups from `own` on. Earlier groups are those of the first walk. */
  telling(spared: SparedRows): { readonly walk: Walk; readonly own: number } {
    const rangeOf = this.#ranges.of.bind(this.#ranges)
    const own = groupsOf([...this.#spared], rangeOf)
    return { walk: this.#walkOf([...own, ...groupEach(spared, rangeOf)]), own: own.length }
  }

  #walk(spared: SparedRows): Walk {
    return this.#walkOf(groupsOf(spared, (each) => this.#ranges.of(each)))
  }

  #walkOf(groups: ConstructorParameters<typeof Sparing>[0]): Walk {
    const { connection, column, layout, cutoff } = this.#options
    const sparing = new Sparing(groups, layout, columnNamed(connection.file, column.table, layout.columns))
    return walkOf(connection, layout, new Judge(cutoff, sparing))
  }
}
