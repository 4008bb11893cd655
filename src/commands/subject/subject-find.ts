import { PERSONAL_TABLES } from '../../catalogue.ts'
import type { ExitCode } from '../../errors.ts'
import { jsonDocument } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import type { SubjectAnswer } from '../../subject/subject-answer.ts'
import { subjectDocument } from '../../subject/subject-document.ts'
import { searchTables } from '../../subject/subject-tables.ts'
import { styleOf } from '../../terminal/style.ts'
import { subjectText } from '../../terminal/subject-text.ts'
import { searchArchive } from './subject-archive.ts'

export interface FindRequest {
  readonly user: string
  readonly json: boolean
}

/** A document with more would be no answer to a letter. */
const MOST_NAMED = 10_000

/** `subject find`: changes nothing, and writes the name to no log. Exit code 1 if something could not be searched. */
export async function findSubject(program: Program, { user, json }: FindRequest): Promise<ExitCode> {
  const { host, settings, database, shutdown } = program
  const at = await database.now()
  const asked = { text: user, jobs: settings.jobs, mostNamed: json ? MOST_NAMED : 0, stopping: shutdown.stopping }
  // Before the archive: a row that goes there meanwhile is then found twice, and not missed.
  const { tables, holds, problems: ofTables } = await searchTables(database, asked)
  const archive = await searchArchive(program, user, holds)
  const otherTables = await database.otherTables(PERSONAL_TABLES.map(({ table }) => table))
  const problems = [...ofTables, ...(archive?.problems ?? []).map((problem) => `The archive in ${archive!.directory}: ${problem}`)]
  const answer: SubjectAnswer = { user, at, tables, archive, otherTables, problems }
  if (json) host.write(jsonDocument(subjectDocument(answer)))
  else host.print(subjectText(answer, styleOf(host)))
  return problems.length > 0 ? 1 : 0
}
