import { retentionText } from '../policy/rules.ts'
import { formatTime, type EpochMs } from '../time/clock.ts'
import { NOT_REACHED, type SubjectAnswer, type SubjectArchive } from './subject-answer.ts'
import type { Span, SubjectTable } from './subject-tables.ts'

/** The answer as `docs/subject.schema.json` describes it. */
export function subjectDocument({ user, at, tables, archive, otherTables, problems }: SubjectAnswer): object {
  return {
    user,
    at: formatTime(at),
    tables: tables.map(tableDocument),
    archive: archive === undefined ? null : archiveDocument(archive),
    otherTables,
    notReached: NOT_REACHED,
    problems,
  }
}

function tableDocument(table: SubjectTable): object {
  const { named, rows, times, keptUntil, rules } = table
  return {
    table: table.table,
    state: table.state,
    columns: table.columns,
    job: table.job?.name ?? null,
    rows,
    undated: table.undated,
    unreadable: table.unreadable,
    times: spanOf(times),
    going: table.going,
    keptUntil: spanOf(keptUntil),
    stays: table.stays ?? null,
    holds: table.holds.map(({ name, rows: held }) => ({ name, rows: held })),
    rules: rules.map(({ name, retentionMs, rows: kept }) => ({ name, retention: retentionText(retentionMs), rows: kept })),
    listed: named.map(({ id, at, keptUntil: until, ...keepers }) => ({
      id: id ?? null,
      at: timeOf(at),
      keptUntil: timeOf(until),
      holds: keepers.holds,
      rules: keepers.rules,
    })),
    more: named.length < rows,
  }
}

function archiveDocument({ directory, expires, filesRead, files }: SubjectArchive): object {
  return {
    directory,
    expires,
    filesRead,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    files: files.map(({ path, rows, times, expiresAt, heldBy }) => ({
      path,
      rows,
      times: spanOf(times),
      expiresAt: timeOf(expiresAt),
      holds: heldBy.map(({ hold, rows: held }) => ({ name: hold.name, rows: held })),
    })),
  }
}

function spanOf(span: Span | undefined): object | null {
  return span === undefined ? null : { first: formatTime(span.first), last: formatTime(span.last) }
}

function timeOf(time: EpochMs | undefined): string | null {
  return time === undefined ? null : formatTime(time)
}
