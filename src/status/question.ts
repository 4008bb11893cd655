import { DatabaseError } from '../database/database-error.ts'
import { MaintenanceError } from '../errors.ts'

export interface Asked<T> {
  readonly answer: T | undefined
  /** Why there is no answer, for people. */
  readonly problem: string | undefined
}

/** What the database refuses to tell is a problem; rejects when it cannot be asked any more. */
export async function asked<T>(question: () => Promise<T>): Promise<Asked<T>> {
  try {
    return { answer: await question(), problem: undefined }
  } catch (error) {
    if (!(error instanceof MaintenanceError) || (error instanceof DatabaseError && GONE.has(error.kind))) throw error
    return { answer: undefined, problem: error.message }
  }
}

const GONE: ReadonlySet<string> = new Set(['lost', 'unreachable', 'invalid'])
