import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const COMMAND = fileURLToPath(new URL('../../bin/mcp-gateway-maintenance.js', import.meta.url))

/** Makes the schema with the project's own command. */
export async function migrated(url: string): Promise<void> {
  await promisify(execFile)(process.execPath, [COMMAND, 'migrate'], { env: { PATH: process.env['PATH'], DATABASE_URL: url } })
}
