import type { ExitCode } from '../errors.ts'
import { jsonDocument } from '../observe/control-characters.ts'
import type { Program } from '../program.ts'
import { RUN_TABLES, runsSince, runTables, type PastRun } from '../runs/past-runs.ts'
import { RUNS } from '../runs/run-records.ts'
import { historyDocument } from '../status/document.ts'
import { historyText } from '../terminal/history-text.ts'
import { styleOf } from '../terminal/style.ts'
import { durationText } from '../time/time-text.ts'

export interface HistoryRequest {
  /** Names from the catalogue; empty: all. */
  readonly jobs: readonly string[]
  readonly sinceMs: number
  readonly json: boolean
}

/** `history`: the recorded runs, oldest first. Changes nothing. */
export async function showHistory({ host, database, events }: Program, { jobs, sinceMs, json }: HistoryRequest): Promise<ExitCode> {
  const now = await database.now()
  const since = now - sinceMs
  const tables = runTables(database, await database.tablesAmong(RUN_TABLES))
  if (tables === undefined) events.warning(`there is no table ${RUNS} yet: no run is recorded before migration 002 is applied`)
  const runs: readonly PastRun[] = tables === undefined ? [] : await runsSince(database, tables, since, jobs)
  if (json) host.write(jsonDocument(historyDocument(runs, since)))
  else if (runs.length > 0) host.print(historyText(runs, now, styleOf(host)))
  else host.print(`no run in the last ${durationText(sinceMs)} is on record\n`)
  return 0
}
