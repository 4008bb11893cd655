import type { ExpiredRows } from '../database/purging.ts'
import type { Transaction } from '../database/query.ts'
import { lostRules, MOST_KEPT_BYTES, MOST_KEPT_RULES, policyText, sparedByRule, type Policy, type Rule } from '../policy/rules.ts'
import { rulesGoneWarning, rulesLostMessage, tooManyGoneMessage, unreadablePolicyMessage, type LostRule } from '../purge/lost-rules.ts'
import { forgetPolicies, notePolicy, pastPolicy, policyTables } from './policy-records.ts'
import type { RunContext, RunRequest } from './run-context.ts'
import type { NoteAccepted, Run } from './run.ts'

/** How the rules of a run compare with those of the last one. */
export interface RulesVerdict {
  /** Why the run must stop; `undefined`: it need not. */
  readonly stop: string | undefined
  readonly warning: string | undefined
  /** `undefined`: the rules are not recorded. */
  readonly record: RulesRecord | undefined
}

export interface RulesRecord {
  /** Call it once the run is allowed to delete. */
  readonly note: NoteAccepted
  /** Forgets those of runs that are no longer recorded. */
  readonly forget: (tx: Transaction, runs: string) => Promise<void>
}

/** `expired`: the rows that would go. Reads them only where rules may have been lost. */
export async function compareRules({ database }: RunContext, request: RunRequest, run: Run, expired: ExpiredRows): Promise<RulesVerdict> {
  const { job, retentionMs, rules = [], accepted } = request
  const tables = retentionMs === undefined ? undefined : await policyTables(database, job)
  if (retentionMs === undefined || tables === undefined) return NOT_COMPARED
  const policy: Policy = { retentionMs, rules }
  const recorded = (compared: Policy): RulesRecord => ({
    note: (tx, id) => notePolicy(tx, tables, id, job, policy, compared),
    forget: (tx, runs) => forgetPolicies(tx, tables, runs, job),
  })
  const fine: RulesVerdict = { stop: undefined, warning: undefined, record: recorded(policy) }
  if (accepted.has('shorter-retention')) return fine

  const past = await pastPolicy(database, tables, job)
  if (past.kind === 'none') return fine
  if (past.kind === 'unreadable') return stopped(unreadablePolicyMessage(job, past))
  const lost = lostRules(past.policy, policy)
  if (lost.length === 0) return fine
  const counts = await rowsLost(expired, lost, run)
  const losses = counts.filter(({ rows }) => rows > 0)
  if (losses.length > 0) return stopped(rulesLostMessage(job, losses))
  // No row goes by that today. The rule stays in force for the comparison, so that the run in which one would go stops.
  const compared: Policy = { retentionMs, rules: [...rules, ...lost] }
  if (compared.rules.length > MOST_KEPT_RULES || policyText(compared, job.holdable.by).length > MOST_KEPT_BYTES)
    return stopped(tooManyGoneMessage(job, lost))
  return { stop: undefined, warning: rulesGoneWarning(job, lost), record: recorded(compared) }
}

async function rowsLost(expired: ExpiredRows, lost: readonly Rule[], { now }: Run): Promise<readonly LostRule[]> {
  const { each } = await expired.sparedBy(lost.map((rule) => sparedByRule(rule, now)))
  return lost.map((rule, at) => ({ rule, rows: each[at]! }))
}

const NOT_COMPARED: RulesVerdict = { stop: undefined, warning: undefined, record: undefined }

function stopped(stop: string): RulesVerdict {
  return { ...NOT_COMPARED, stop }
}
