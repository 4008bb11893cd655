import { stemOf } from '../migrations/file-names.ts'
import { countText, partCountText } from '../number-text.ts'
import { isBad } from '../runs/result.ts'
import type { Finding } from '../status/finding.ts'
import { findingsOf } from '../status/findings.ts'
import type { JobStatus } from '../status/job-status.ts'
import type { MigrationsStatus } from '../status/migrations-status.ts'
import { partitionFacts } from '../status/partition-sentences.ts'
import type { Status } from '../status/read-status.ts'
import {
  findingText,
  heldText,
  holdText,
  migrationsText,
  ON_STANDBY,
  overdueText,
  placeText,
  removesText,
  ruleText,
  spaceText,
  spanText,
  tookText,
  verdictText,
  waitingText,
} from '../status/sentences.ts'
import type { EpochMs } from '../time/clock.ts'
import { agoText, zonedText } from '../time/time-text.ts'
import { archiveRows, isShown } from './archive-text.ts'
import { barChartText } from './bar-chart.ts'
import { bold, ink, red, type Ink, type Style } from './style.ts'
import { listText, type Row } from './table.ts'

/** A status for people: the verdict first. */
export function statusText(status: Status, style: Style): string {
  const { database, migrations, version, jobs, archive, partitions } = status
  const { engine, standby, space, problem } = database
  const findings = findingsOf(status)
  // A finding at the top says what is wrong and what to do. A problem is shown below only if it is not a finding, because it concerns something that is
  // disabled.
  const isInFindings = (text: string): boolean => findings.some(({ sentence }) => sentence.includes(text))
  const problemRows = (problems: readonly string[]): Row[] =>
    problems
      .filter((each) => !isInFindings(each))
      .flatMap((each) => each.split('\n'))
      .map((line) => ['problem', red(line, style)])
  const head: Row[] = [
    ['database', listed([`${engine} ${placeText(database)}`, spaceText(space), standby ? ON_STANDBY : undefined])],
    ...problemRows(problem === undefined ? [] : [problem]),
    ...migrationRows(migrations),
    ...problemRows(migrations?.problem === undefined ? [] : [migrations.problem]),
    ['version', version],
  ]
  const blocks = [
    ...jobs.map(
      (job) => [job.job.name, [...jobRows(job, status, isInFindings, style), ...problemRows([...job.problems, ...job.warnings])]] as const,
    ),
    ...(isShown(archive)
      ? [['archive', [...archiveRows(archive, status.at, style), ...problemRows([...archive.problems, ...archive.warnings])]] as const]
      : []),
    ...(partitions.tables.length === 0
      ? []
      : [['partitions', partitions.tables.flatMap((each) => partitionFacts(each, status.at))] as const]),
  ].map(([title, rows]) => `${bold(title, style).text}\n${indented(listText(rows, narrower(style)))}`)
  const chart = backlogChart(jobs, style)
  return `${[verdict(status, findings, style), listText(head, style), ...blocks].join('\n\n')}\n${chart === '' ? '' : `\n${chart}`}`
}

function verdict(status: Status, findings: readonly Finding[], style: Style): string {
  const title = bold(verdictText(status, findings), style).text
  if (findings.length === 0) return title
  const rows = findings.map((finding): Row => [
    finding.level,
    finding.level === 'fault' ? red(findingText(finding), style) : findingText(finding),
  ])
  return `${title}\n${indented(listText(rows, narrower(style)))}`
}

/** The backlogs of all jobs, for comparison. There is no chart if one was counted only in part, since its bar would look complete. */
function backlogChart(jobs: readonly JobStatus[], style: Style): string {
  const rows = jobs.flatMap(({ job, backlog }) =>
    backlog === undefined ? [] : [{ name: job.name, figure: partCountText(backlog), value: backlog.rows ?? 0 }],
  )
  if (jobs.some(({ backlog }) => backlog?.more === true)) return ''
  return barChartText('expired rows that wait', rows, style)
}

function migrationRows(migrations: MigrationsStatus | undefined): Row[] {
  if (migrations === undefined) return []
  const { pending } = migrations
  return [
    ['migrations', migrationsText(migrations)],
    ...(pending.length === 0 ? [] : [['pending', pending.map(stemOf).join(', ')] as const]),
  ]
}

function jobRows(
  status: JobStatus,
  { at, database: { reachable }, scheduleTimeZone }: Status,
  isInFindings: (text: string) => boolean,
  style: Style,
): Row[] {
  const { job, enabled, schedule, scheduleInWords, nextRunAt, running, overdueSlot, backlog, rules = [] } = status
  return [
    ['removes', removesText(status)],
    ...rules.map((rule, index): Row => [index === 0 ? 'longer' : '', ruleText(rule)]),
    ...heldRows(status, at),
    ['schedule', enabled ? `${scheduleInWords} (${schedule}, ${scheduleTimeZone})` : `disabled by jobs.${job.settings}.enabled`],
    ...(nextRunAt === undefined ? [] : [['next run', `${zonedText(nextRunAt)}, in ${spanText(at, nextRunAt)}`] as const]),
    ...(reachable ? [['last run', lastRunText(status, at, isInFindings, style)] as const] : []),
    ...(running === undefined ? [] : [['running', runningText(running, at)] as const]),
    ...(backlog === undefined ? [] : [['waiting', listed([waitingText(backlog), overdueText(backlog)])] as const]),
    ...(overdueSlot === undefined ? [] : [['late', red(`no run since the slot of ${zonedText(overdueSlot)}`, style)] as const]),
  ]
}

/** Each hold has a line. */
function heldRows(status: JobStatus, at: EpochMs): Row[] {
  const text = heldText(status)
  return text === undefined
    ? []
    : [['held', text], ...(status.holds ?? []).map((hold): Row => ['', `${JSON.stringify(hold.name)} ${holdText(hold, at)}`])]
}

function lastRunText({ lastRun, lastSuccessAt }: JobStatus, at: EpochMs, isInFindings: (text: string) => boolean, style: Style): Ink {
  if (lastRun === undefined) return ink`none on record`
  const { outcome = '', startedAt, deleted, archived, held, trigger, error } = lastRun
  const did = listed([
    tookText(lastRun),
    `deleted ${countText(deleted)}`,
    archived === undefined ? undefined : `archived ${countText(archived.rows)}`,
    held === 0 ? undefined : `kept ${countText(held)} by legal holds`,
  ])
  const success = !isBad(outcome)
    ? ''
    : lastSuccessAt === undefined
      ? '; no recorded run succeeded'
      : `; the last successful one ended ${agoText(at - lastSuccessAt)}`
  const why = error === undefined || isInFindings(error) ? '' : `: ${onOneLine(error)}`
  return ink`${isBad(outcome) ? red(outcome, style) : outcome} ${agoText(at - startedAt)} (${zonedText(startedAt)}, ${trigger}), ${did}${success}${why}`
}

function runningText({ worker, since }: NonNullable<JobStatus['running']>, at: EpochMs): string {
  return listed(['now', `by ${worker}`, since === undefined ? undefined : `for ${spanText(since, at)}`])
}

function listed(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(', ')
}

/** As the error of a run that failed for several reasons is recorded. */
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
