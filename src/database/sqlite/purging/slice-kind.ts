import type { Connection } from '../connection/connection.ts'
import type { Entanglement } from './entanglement.ts'
import type { Judge } from './judge.ts'
import type { Layout } from './layout.ts'
import type { JudgedWalks } from './judged-walks.ts'
import { RowSlice, type Lengths, type SliceOptions } from './row-slice.ts'
import type { Walk } from './walk.ts'

/** What is needed to read rows of the table. */
export interface TableAccess<S extends RowSlice> {
  readonly walk: Walk
  readonly walks: JudgedWalks
  readonly entanglement: Entanglement
  readonly kind: SliceKind<S>
}

/** Makes the slices of a walk: those of a plain purge count and delete, those of an export also read. */
export interface SliceKind<S extends RowSlice> {
  readonly lengths: Lengths | undefined
  slice(options: SliceOptions): S
}

/** For code that reads more columns of the rows than their time. */
export interface Table {
  readonly connection: Connection
  readonly layout: Layout
  readonly entanglement: Entanglement
  readonly judge: Judge
}

/** For a purge without an archive. */
export const PLAIN: SliceKind<RowSlice> = { lengths: undefined, slice: (options) => new RowSlice(options) }
