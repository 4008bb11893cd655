export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** A table of the file itself: no other object of its name, temporary or attached, is ever meant. */
export function named(table: string): string {
  return `${MAIN}.${quoted(table)}`
}

export const MAIN = 'main'

/**
 * SQLite's own table-valued functions. A table or view of such a name in the file takes the place of the bare one; `temp` has nothing but what this
 * connection made, which is nothing of these names, and then SQLite looks among its own. Those of pragmas take the schema as their last argument.
 */
export const BUILT_IN = {
  each: 'temp.json_each',
  tables: 'temp.pragma_table_list',
  columns: 'temp.pragma_table_xinfo',
  indexes: 'temp.pragma_index_list',
  indexColumns: 'temp.pragma_index_xinfo',
  references: 'temp.pragma_foreign_key_list',
} as const

/** SQLite folds the case of ASCII letters in names, and of nothing else. */
export function folded(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
