import type { Database } from '../../src/database/database.ts'
import { sharedMs } from './child.ts'
import type { Batch } from './contender.ts'

/** The same database; what each batch takes is written down as it passes through the boundary. */
export function recorded(database: Database, batches: Batch[]): Database {
  let chooseMs = 0
  let open: Batch | undefined
  return replaced(database, {
    expired(column, cutoff) {
      const rows = database.expired(column, cutoff)
      return replaced(rows, {
        async next(size, after) {
          const startedMs = sharedMs()
          const slice = await rows.next(size, after)
          chooseMs = sharedMs() - startedMs
          return slice
        },
      })
    },
    async transaction(work) {
      const startedMs = sharedMs()
      let removed = 0
      const result = await database.transaction(async (tx) => {
        const value = await work(tx)
        removed = rowsOf(value)
        return value
      })
      open = { rows: removed, chooseMs, transactionMs: sharedMs() - startedMs, heldMs: database.heldMs() }
      return result
    },
    // Looked at once after each batch; looking again would change what it says.
    async pressure() {
      const pressure = await database.pressure()
      if (open !== undefined) batches.push(open)
      open = undefined
      return pressure
    },
  })
}

/** What a batch answers with; any other transaction removes nothing. */
function rowsOf(value: unknown): number {
  return typeof value === 'object' && value !== null && 'affected' in value ? Number(value.affected) : 0
}

/** Not a copy: methods may lean on private fields, so they stay bound to the object itself. */
function replaced<T extends object>(target: T, replacements: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in replacements) return Reflect.get(replacements, name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
