export type TypeFamily = 'whole' | 'text' | 'truth' | 'time' | 'other'

export interface Relation {
  readonly kind: 'table' | 'view'
  readonly columns: ReadonlyMap<string, Column>
}

export interface Column {
  /** `undefined` where the engine does not hold a column to a type. */
  readonly family: TypeFamily | undefined
  /** As the engine spells it, for messages. */
  readonly type: string
  /** NOT NULL without a default: an insert that does not name it fails. */
  readonly mandatory: boolean
}
