export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** Names the table in the file itself, never a temporary or attached object of the same name. */
export function named(table: string): string {
  return `${MAIN}.${quoted(table)}`
}

export const MAIN = 'main'

/**
 * SQLite's built-in table-valued functions. A table or view in the file that has such a name would shadow the bare one. Qualified with `temp` they are safe:
 * that schema only holds what this connection creates, none of it with these names, so SQLite falls back to its built-ins. The functions of pragmas take
 * the schema as their last argument.
 */
export const BUILT_IN = {
  each: 'temp.json_each',
  tables: 'temp.pragma_table_list',
  columns: 'temp.pragma_table_xinfo',
  indexes: 'temp.pragma_index_list',
  indexColumns: 'temp.pragma_index_xinfo',
  references: 'temp.pragma_foreign_key_list',
} as const

/** SQLite ignores case in names for ASCII letters only. */
export function folded(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
