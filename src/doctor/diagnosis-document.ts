import { formatTime } from '../time/clock.ts'
import type { Diagnosis } from './diagnosis.ts'

/** A diagnosis as `docs/doctor.schema.json` describes it: names and meanings stay, more may be added. */
export function diagnosisDocument({ status, findings, unseen }: Diagnosis) {
  const { at, version, database } = status
  const { engine, place, name, reachable } = database
  return {
    at: formatTime(at),
    version,
    sound: findings.every(({ level }) => level !== 'fault'),
    findings: findings.map(({ code, level, sentence, action }) => ({ code, level, sentence, action: action ?? null })),
    unseen,
    database: { engine, place, name, reachable },
  }
}
