import type { DoctorCode } from '../status/finding.ts'
import type { Facts } from './doctor-facts.ts'

/** Looks at one thing, and judges on facts that were read before. */
export interface Probe {
  readonly code: DoctorCode
  /** For the documents: what it finds. */
  readonly finds: string
  readonly judge: (facts: Facts) => readonly Told[]
}

export interface Told {
  readonly level: 'fault' | 'advice'
  readonly sentence: string
  readonly action?: string
}

export function fault(sentence: string, action?: string): Told {
  return { level: 'fault', sentence, ...(action === undefined ? {} : { action }) }
}

export function advice(sentence: string, action?: string): Told {
  return { ...fault(sentence, action), level: 'advice' }
}
