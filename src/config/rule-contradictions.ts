import { JOBS, retentionOf, rulesVariable, type Job } from '../catalogue.ts'
import { FOREVER } from '../policy/rules.ts'
import { formatDuration, parseDuration } from '../time/clock.ts'
import type { Given } from './layer.ts'
import { shown } from './shown.ts'

/** The strongest value of each setting, valid or not. */
type Strongest = ReadonlyMap<string, Given>

interface Found {
  readonly problems: readonly string[]
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
}

/** What is wrong with rules beside other settings, whatever else is wrong with them. A value that cannot be read has a problem of its own. */
export function ruleContradictions(strongest: Strongest): Found {
  const found = JOBS.filter((job) => retentionOf(job) !== undefined && rulesVariable(job) !== undefined).map((job) => ofJob(job, strongest))
  return {
    problems: found.flatMap(({ problems }) => problems),
    notes: found.flatMap(({ notes }) => notes),
    warnings: found.flatMap(({ warnings }) => warnings),
  }
}

function ofJob(job: Job, strongest: Strongest): Found {
  const [problems, notes, warnings]: [string[], string[], string[]] = [[], [], []]
  const key = `jobs.${job.settings}.rules`
  const rules = strongest.get(key)
  const baseKey = `jobs.${job.settings}.retention`
  const [base, kept] = [strongest.get(baseKey), archiveKept(job, strongest)]
  const [baseMs, keptMs] = [durationOf(base?.value), durationOf(kept?.value)]
  for (const [at, rule] of listed(rules?.value).entries()) {
    const { name, match, retention } = sectionOf(rule)
    const part = `${key}[${at}]`
    const ms = durationOf(retention)
    const refused = (problem: string): void => void problems.push(`${part}.retention (${rules!.where}): ${problem}`)
    if (ms !== undefined && baseMs !== undefined && ms < baseMs)
      refused(
        `${shown(retention)} is shorter than the retention of ${formatDuration(baseMs)} (${baseKey}, ${base!.where}), and a rule only lengthens it; ` +
          'make the shortest period the retention, and lengthen the others by rules',
      )
    if (ms !== undefined && ms === baseMs)
      notes.push(`rule ${shown(name)} of ${key} keeps rows as long as the retention does, so it changes nothing until that is shortened`)
    if (ms !== undefined && keptMs !== undefined && ms >= keptMs)
      refused(
        `${shown(retention)} is not shorter than the ${formatDuration(keptMs)} for which the archive is kept (archive.retention, ${kept!.where}), so these rows would be removed ` +
          `from it as soon as they are archived; set archive.retention to a longer period, such as ${formatDuration(2 * ms)}, or to ${FOREVER}`,
      )
    for (const [column, patterns] of Object.entries(sectionOf(match)))
      for (const pattern of [patterns].flat())
        if (typeof pattern === 'string' && pattern.slice(0, -1).includes('*'))
          warnings.push(
            `${part}.match (${rules!.where}): ${column} ${shown(pattern)} has a * before its end, where it means itself; only at the end does it mean everything`,
          )
  }
  return { problems, notes, warnings }
}

/** `undefined`: the job's rows are not archived, or kept there for ever. */
function archiveKept(job: Job, strongest: Strongest): Given | undefined {
  return job.archived === true && strongest.get('archive.enabled')?.value === true ? strongest.get('archive.retention') : undefined
}

function durationOf(value: unknown): number | undefined {
  return typeof value === 'string' ? parseDuration(value) : undefined
}

function listed(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function sectionOf(value: unknown): Readonly<Record<string, unknown>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- any object is one of named values
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
