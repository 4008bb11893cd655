import { rulesVariable, type Job } from '../catalogue.ts'
import { counted, countText } from '../number-text.ts'
import { matchText } from '../policy/match.ts'
import { retentionText, type Rule } from '../policy/rules.ts'

/** A rule that an earlier run had, and how many of the rows that it kept would go. */
export interface LostRule {
  readonly rule: Rule
  readonly rows: number
}

export function rulesLostMessage(job: Job, lost: readonly LostRule[]): string {
  const rules = lost.map(({ rule, rows }) => `${ruleText(rule)} kept ${counted(rows, 'row')}`)
  return (
    `Retention rules that earlier runs of ${job.name} had are gone, or keep less, and rows of ${job.table} that they kept would be deleted: ${rules.join(', ')}. ` +
    `Nothing was deleted. ${wayOn(job)}`
  )
}

export function tooManyGoneMessage(job: Job, lost: readonly Rule[]): string {
  return (
    `${countText(lost.length)} retention rules that earlier runs of ${job.name} had are gone, or keep less, and together with the others they are too many to be remembered. ` +
    `Nothing was deleted. ${wayOn(job)}`
  )
}

export function unreadablePolicyMessage(job: Job, { run, why }: { readonly run: number; readonly why: string }): string {
  return (
    `The retention rules of run ${run} of ${job.name} cannot be read: ${why}. So it is not known whether a rule was lost. Nothing was deleted. Restore the table from a backup. ` +
    `If all rules are as they should be, run once with the same settings: ${command(job)}`
  )
}

/** For a log line. */
export function rulesGoneWarning(job: Job, lost: readonly Rule[]): string {
  return (
    `retention rules that earlier runs had are gone, or keep less, and no row would go by that yet: ${lost.map(ruleText).join(', ')}; ` +
    `restore them in ${places(job)}, or accept it with ${command(job)}`
  )
}

function ruleText({ name, match, retentionMs }: Rule): string {
  return `${JSON.stringify(name)} (${matchText(match)}: ${retentionText(retentionMs)})`
}

function wayOn(job: Job): string {
  return `If this is a mistake, restore them in ${places(job)} for every worker on this database. If it is intended, run once with the same settings: ${command(job)}`
}

function places(job: Job): string {
  return `jobs.${job.settings}.rules or ${rulesVariable(job)}`
}

function command({ name }: Job): string {
  return `--run-now --job ${name} --accept-shorter-retention`
}
