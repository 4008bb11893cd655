import type { Dirent } from 'node:fs'
import { kindOf } from '../../files.ts'
import { Refused, type GuardedTree } from './guarded-tree.ts'
import { DATE_FOLDERS, MANIFEST_SUFFIX, parsePath, ROWS_SUFFIX, type ArchivePath } from './path.ts'

/**
 * `problem`: it must not be in the archive. `stray`: it is not part of the archive, but does no harm. Both begin with a path below the
 * root.
 */
export type Found = { readonly path: ArchivePath } | { readonly problem: string } | { readonly stray: string }

/** Everything in a table's folder, whether it belongs there or not: the oldest days first, a day at a time. */
export async function* walk(tree: GuardedTree, table: string): AsyncGenerator<Found> {
  yield* within(tree, table, table, DATE_FOLDERS)
}

async function* within(tree: GuardedTree, table: string, folder: string, forms: readonly RegExp[]): AsyncGenerator<Found> {
  const [form, ...inner] = forms
  const entries = await entriesOf(tree, folder)
  if (typeof entries === 'string') return yield { problem: entries }
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`
    if (!entry.isFile() && !entry.isDirectory()) yield { problem: `${path}: is a ${kindOf(entry)}, which has no place in the archive` }
    else if (isNobodys(entry.name)) continue
    else if (form !== undefined && entry.isDirectory() && form.test(entry.name)) yield* within(tree, table, path, inner)
    else if (entry.isDirectory()) yield { stray: `${path}: does not have the name of an archive folder` }
    else yield* fileAt(path, table)
  }
}

function* fileAt(text: string, table: string): Generator<Found> {
  const path = parsePath(text, table)
  if (path !== undefined) yield { path }
  // People would take it for a file of the archive.
  else if (text.endsWith(ROWS_SUFFIX) || text.endsWith(MANIFEST_SUFFIX))
    yield { stray: `${text}: does not have the name of an archive file` }
}

/** A folder that is refused is a problem of its own, and does not prevent looking at the others. */
async function entriesOf(tree: GuardedTree, folder: string): Promise<readonly Dirent[] | string> {
  try {
    return await tree.entries(folder)
  } catch (error) {
    if (error instanceof Refused) return error.message
    throw error
  }
}

/** Entries of file systems and their tools, and our own spool. */
function isNobodys(name: string): boolean {
  return name.startsWith('.') || name === 'lost+found'
}
