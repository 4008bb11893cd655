import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

// oxlint-disable-next-line typescript/no-explicit-any -- functions of any kind
type Any = (...values: any[]) => any

/** What this process does to names and what it syncs while `work` runs, in order: `sync PATH`, `mkdir PATH`, `link PATH`, `rename PATH`, `rm PATH`; of two paths the new one. */
export async function diskCalls(work: () => Promise<unknown>): Promise<readonly string[]> {
  const calls: string[] = []
  const paths = new Map<number, string>()
  const undo: (() => void)[] = []
  const replaced = (owner: object, name: string, make: (original: Any) => Any): void => {
    const original = Reflect.get(owner, name) as Any
    Reflect.set(owner, name, make(original))
    undo.push(() => Reflect.set(owner, name, original))
  }
  const noted = (name: string, at: 0 | 1): void =>
    replaced(fs.promises, name, (original) => async (...values) => {
      const result: unknown = await original(...values)
      calls.push(`${name} ${String(values[at])}`)
      return result
    })
  for (const name of ['mkdir', 'rm']) noted(name, 0)
  for (const name of ['link', 'rename']) noted(name, 1)
  replaced(fs.promises, 'open', (original) => async (path: string, ...values) => {
    const handle = (await original(path, ...values)) as fs.promises.FileHandle
    replaced(handle, 'sync', (sync) => async () => {
      await sync.call(handle)
      calls.push(`sync ${path}`)
    })
    return handle
  })
  replaced(fs, 'openSync', (original) => (path: string, ...values) => {
    const descriptor = original(path, ...values) as number
    paths.set(descriptor, path)
    return descriptor
  })
  replaced(fs, 'fsyncSync', (original) => (descriptor: number) => {
    original(descriptor)
    calls.push(`sync ${paths.get(descriptor)}`)
  })
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    for (const back of undo.toReversed()) back()
    syncBuiltinESMExports()
  }
  return calls
}
