import { stemOf } from '../migrations/file-names.ts'
import { countText, estimateText, plural, sizeText } from '../number-text.ts'
import type { JobStatus } from '../status/job-status.ts'
import type { MigrationsStatus } from '../status/migrations-status.ts'
import type { Status } from '../status/read-status.ts'
import { formatDuration, type EpochMs } from '../time/clock.ts'
import { agoText, durationText, zonedText } from '../time/time-text.ts'
import { archiveRows, isShown } from './archive-text.ts'
import { barChartText } from './bar-chart.ts'
import { bold, ink, red, type Ink, type Style } from './style.ts'
import { listText, type Row } from './table.ts'

/** A status for people. */
export function statusText(status: Status, style: Style): string {
  const { database, migrations, version, jobs, archive } = status
  const { engine, place, name, sizeBytes, problem } = database
  const where = place.endsWith(name) ? place : `${place}/${name}`
  const head: Row[] = [
    ['database', `${engine} ${where}${sizeBytes === undefined ? '' : `, ${sizeText(sizeBytes)}`}`],
    ...problemRows(problem === undefined ? [] : [problem], style),
    ...migrationRows(migrations, style),
    ['version', version],
  ]
  const blocks = [
    ...jobs.map((job) => [job.job.name, jobRows(job, status, style)] as const),
    ...(isShown(archive)
      ? [['archive', [...archiveRows(archive, status.at, style), ...problemRows(archive.problems, style)]] as const]
      : []),
  ].map(([title, rows]) => `${bold(title, style).text}\n${indented(listText(rows, narrower(style)))}`)
  const chart = backlogChart(jobs, style)
  return `${[listText(head, style), ...blocks].join('\n\n')}\n${chart === '' ? '' : `\n${chart}`}`
}

/** What waits, each job's beside the others'; nothing where nothing does. */
function backlogChart(jobs: readonly JobStatus[], style: Style): string {
  const rows = jobs.flatMap(({ job, backlog }) =>
    backlog === undefined ? [] : [{ name: job.name, figure: estimateText(backlog.rows, backlog.exact), value: backlog.rows }],
  )
  return rows.some(({ value }) => value > 0) ? barChartText('expired rows that wait', rows, style) : ''
}

function migrationRows(migrations: MigrationsStatus | undefined, style: Style): Row[] {
  if (migrations === undefined) return []
  const { applied, pending, enabled, problem } = migrations
  const names = pending.map(stemOf)
  const waiting = names.length === 0 ? 'none pending' : `${names.length} pending: ${names.join(', ')}`
  return [
    ['migrations', `${applied.length} applied, ${waiting}${enabled ? '' : '; disabled by migrations.enabled'}`],
    ...problemRows(problem === undefined ? [] : [problem], style),
  ]
}

function jobRows(status: JobStatus, { at, database: { reachable }, scheduleTimeZone }: Status, style: Style): Row[] {
  const { job, enabled, retentionMs, schedule, scheduleInWords, nextRunAt, running, overdueSlot, backlog, problems } = status
  return [
    ['removes', `${job.table}${retentionMs === undefined ? ' that have expired' : ` older than ${formatDuration(retentionMs)}`}`],
    ['schedule', enabled ? `${scheduleInWords} (${schedule}, ${scheduleTimeZone})` : `disabled by jobs.${job.settings}.enabled`],
    ...(nextRunAt === undefined ? [] : [['next run', `${zonedText(nextRunAt)}, in ${durationText(Math.max(0, nextRunAt - at))}`] as const]),
    ...(reachable ? [['last run', lastRunText(status, at, style)] as const] : []),
    ...(running === undefined ? [] : [['running', runningText(running, at)] as const]),
    ...(backlog === undefined ? [] : [['waiting', backlogText(backlog, at)] as const]),
    ...(overdueSlot === undefined ? [] : [['late', red(`no run since the slot of ${zonedText(overdueSlot)}`, style)] as const]),
    ...problemRows(problems, style),
  ]
}

function lastRunText({ lastRun, lastSuccessAt }: JobStatus, at: EpochMs, style: Style): Ink {
  if (lastRun === undefined) return ink`none on record`
  const { outcome = '', startedAt, finishedAt, deleted, archived, trigger, error } = lastRun
  const failed = outcome === 'failed' || outcome === 'stopped'
  const took = finishedAt === undefined ? '' : `, took ${durationText(Math.max(0, finishedAt - startedAt))}`
  const kept = archived === undefined ? '' : `, archived ${countText(archived.rows)}`
  const success = !failed
    ? ''
    : lastSuccessAt === undefined
      ? '; none on record succeeded'
      : `; the last that succeeded ended ${agoText(at - lastSuccessAt)}`
  const why = error === undefined ? '' : `: ${onOneLine(error)}`
  return ink`${failed ? red(outcome, style) : outcome} ${agoText(at - startedAt)} (${zonedText(startedAt)}, ${trigger})${took}, deleted ${countText(deleted)}${kept}${success}${why}`
}

function runningText({ worker, since }: NonNullable<JobStatus['running']>, at: EpochMs): string {
  return `now, by ${worker}${since === undefined ? '' : `, for ${durationText(Math.max(0, at - since))}`}`
}

function backlogText({ rows, exact, oldest, cutoff }: NonNullable<JobStatus['backlog']>, at: EpochMs): string {
  if (rows === 0) return 'nothing'
  const age =
    oldest === null ? '' : `; the oldest is ${durationText(at - oldest)} old, ${durationText(Math.max(0, cutoff - oldest))} past its time`
  return `${estimateText(rows, exact)} expired ${plural(rows, 'row')}${age}`
}

function problemRows(problems: readonly string[], style: Style): Row[] {
  return problems.flatMap((problem) => problem.split('\n')).map((line) => ['problem', red(line, style)])
}

/** As a run records it, which failed for several reasons. */
function onOneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, '; ')
}

const INDENT = '  '

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, INDENT)
}

function narrower(style: Style): Style {
  return { ...style, columns: style.columns - INDENT.length }
}
