import { LONG_BYTES } from '../../exporting/json-text.ts'
import type { StoredColumn } from '../../exporting.ts'
import type { Value } from '../../query.ts'
import { BUILT_IN, quoted } from '../names.ts'
import type { Layout } from '../purging/layout.ts'
import type { Sparing } from '../purging/spared-sql.ts'

/** Statements that read rows whose numbers are in the JSON list `$1`, in its order, or their sizes. */
export interface RowStatements {
  /** All columns, what spares the row, and its number. */
  readonly rows: string
  /** For rows that are long as a whole: values that are long by themselves are left out. */
  readonly longRows: string
  /** What is bound to these two from `$2` on. */
  readonly masked: readonly Value[]
  /** Rows of more than `$2` bytes, and how many they have. */
  readonly sizes: string
}

export function rowStatements({ table, rowid }: Layout, columns: readonly StoredColumn[], sparing: Sparing): RowStatements {
  const names = columns.map(({ name }) => `row.${quoted(name)}`)
  const size = names.map((name) => `ifnull(octet_length(${name}), 0)`).join(' + ')
  const chosen = `FROM ${BUILT_IN.each}($1) AS chosen CROSS JOIN ${table} AS row WHERE row.${rowid} = chosen.value`
  const short = names.map((name) => `iif(octet_length(${name}) > ${LONG_BYTES}, NULL, ${name})`)
  const masks = sparing.masks(2, 'row.')
  return {
    rows: `SELECT ${[...names, ...masks.columns].join(', ')}, row.${rowid} ${chosen} AND ${size} <= ${LONG_BYTES}`,
    longRows: `SELECT ${[...short, ...masks.columns].join(', ')}, row.${rowid} ${chosen} AND ${size} > ${LONG_BYTES}`,
    masked: masks.values,
    sizes: `SELECT ${size}, row.${rowid} ${chosen} AND ${size} > $2`,
  }
}
