import { execFile, type ExecFileException } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout, with a slash at its end. */
export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))

export interface Done {
  /** `undefined`: it was killed, or could not be started. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface Place {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number | undefined
}

/** Runs a program to its end. */
export function run(file: string, words: readonly string[], { cwd, env = packagingEnvironment(), uid }: Place): Promise<Done> {
  const options = { cwd, env, timeout: 120_000, maxBuffer: 2 ** 26, ...(uid === undefined ? {} : { uid, gid: uid }) }
  return new Promise((resolve) => {
    const child = execFile(file, words, options, (error: ExecFileException | null, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined
      resolve({ code, stdout, stderr: stderr === '' && error !== null && code === undefined ? error.message : stderr })
    })
    child.stdin?.end()
  })
}

/** What npm passes on to a script and its children would decide how they install: only where packages come from is kept. */
export function packagingEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(npm_|NODE_)/i.test(name) ||
      /^(npm_config_(cache|registry|cafile|userconfig|globalconfig|.*proxy)|NODE_EXTRA_CA_CERTS)$/i.test(name),
  )
  return { ...Object.fromEntries(kept), npm_config_prefer_offline: 'true', npm_config_update_notifier: 'false' }
}

/** Why an installation says nothing about the project: the packages are neither in npm's cache nor within reach. */
export function outOfReach(done: Done): string | undefined {
  const found = /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b/.exec(done.stderr)
  return done.code === 0 || found === null ? undefined : `npm cannot get packages here: ${found[0]}`
}

/** Every file below a folder, relative to it, sorted; links are named, not followed. */
export async function filesBelow(folder: string, skip: (path: string) => boolean = () => false): Promise<string[]> {
  const found: string[] = []
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const each = path === '' ? entry.name : `${path}/${entry.name}`
      if (skip(each)) continue
      if (entry.isDirectory()) await walk(each)
      else found.push(each)
    }
  }
  await walk('')
  return found.toSorted()
}
