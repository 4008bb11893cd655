import { archivedRows } from '../archive/support.ts'
import type { Arena } from './arena.ts'
import { subjectOf } from './subjects.ts'
import { must, mustNot } from './violation.ts'

export const ARCHIVED = subjectOf('audit_logs')

/** After an undisturbed run: each row that could go is in exactly one file, none that had to stay is, and `archive verify` finds the archive sound. */
export async function mustBeArchivedOnce(arena: Arena, folder: string, env: Readonly<Record<string, string>>): Promise<void> {
  const marks = (await archivedRows(folder)).map((row) => String(row[ARCHIVED.mark]))
  const { go } = arena.truth.written.get(ARCHIVED.table)!
  const once = new Set(marks)
  mustNot('rows lost', go - once.size, `in the archive: ${go} had to be there, ${once.size} are`)
  must(marks.length === once.size, `${marks.length - once.size} rows are in more than one file`)
  must(!marks.some((mark) => !mark.startsWith('go-')), 'the archive has rows that had to stay')
  const verified = await arena.run(['archive', 'verify'], { env })
  must(verified.code === 0, `archive verify exits ${verified.code}: ${verified.stdout}`)
}
