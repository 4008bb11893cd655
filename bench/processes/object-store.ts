import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Workspace } from '../workspace.ts'
import type { ObjectStore } from './contender.ts'

const SERVER = fileURLToPath(new URL('../../test/support/s3/main.ts', import.meta.url))
const BUCKET = 'archive'
/** Of a list, as S3 has them. */
const PAGE = '1000'

/** The tests' own server in a process of its own, which takes nothing of the time of the thread that purges. Its objects go with it. */
export async function startObjectStore(workspace: Workspace): Promise<ObjectStore & AsyncDisposable> {
  const server = spawn(process.execPath, [SERVER, '--bucket', BUCKET, '--page-size', PAGE], { stdio: ['pipe', 'pipe', 'inherit'] })
  workspace.children.add(server)
  for await (const line of createInterface(server.stdout)) {
    const { url, region, env } = JSON.parse(line) as Omit<ObjectStore, 'bucket'>
    return {
      url,
      region,
      bucket: BUCKET,
      env,
      async [Symbol.asyncDispose]() {
        const exit = once(server, 'exit')
        server.stdin.end()
        await exit
        workspace.children.delete(server)
      },
    }
  }
  throw new Error(`${SERVER} ended before it answered`)
}
