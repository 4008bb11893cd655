import type { Database } from '../database/database.ts'
import type { Finding } from '../status/finding.ts'
import { findingsOf } from '../status/findings.ts'
import type { Status } from '../status/read-status.ts'
import type { DoctorPlan, Facts } from './doctor-facts.ts'
import { PROBES } from './probes.ts'
import type { Probe } from './probe.ts'
import { factsWithout, readFacts, type Read, type Reading } from './read-facts.ts'

export interface Diagnosis {
  readonly status: Status
  /** Those of the status first, then those of the probes. */
  readonly findings: readonly Finding[]
  /** What was to be looked at and could not be seen. */
  readonly unseen: readonly string[]
}

/** Changes nothing. Rejects only with unexpected errors, and when the database is lost meanwhile. */
export async function diagnose(database: Database, status: Status, reading: Reading): Promise<Diagnosis> {
  return diagnosisOf(status, await readFacts(database, status, reading))
}

/** Of a database that does not answer: what can be seen without it. */
export async function diagnoseWithout(status: Status, plan: DoctorPlan): Promise<Diagnosis> {
  return diagnosisOf(status, await factsWithout(status, plan))
}

function diagnosisOf(status: Status, { facts, unseen }: Read): Diagnosis {
  return { status, findings: [...findingsOf(status).map(asAdvice), ...judged(PROBES, facts)], unseen }
}

/** What the probes find, in their order. */
export function judged(probes: readonly Probe[], facts: Facts): readonly Finding[] {
  return probes.flatMap(({ code, judge }) => judge(facts).map(({ level, sentence, action }) => ({ code, level, sentence, action })))
}

/** A worker that starts applies them: an installation that is new, or was upgraded, is not at fault. */
function asAdvice(finding: Finding): Finding {
  return finding.code === 'migrations-pending' ? { ...finding, level: 'advice' } : finding
}
