import { DatabaseError } from '../database/database-error.ts'
import { MaintenanceError } from '../errors.ts'

export interface Answer<T> {
  readonly answer: T | undefined
  /** Why there is no answer, in words. */
  readonly problem: string | undefined
}

/** Returns an error of the query as a problem; rejects if the database can no longer be queried at all. */
export async function tryQuery<T>(question: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { answer: await question(), problem: undefined }
  } catch (error) {
    if (!(error instanceof MaintenanceError) || (error instanceof DatabaseError && NOT_ANSWERING.has(error.kind))) throw error
    return { answer: undefined, problem: error.message }
  }
}

const NOT_ANSWERING: ReadonlySet<string> = new Set(['lost', 'unreachable', 'invalid'])
