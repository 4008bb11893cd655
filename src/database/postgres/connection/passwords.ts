import { statSync } from 'node:fs'
import { codeOf, messageOf } from '../../../errors.ts'
import { readGiven } from '../../../files.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'

/** A password, or why there is none. */
export type Password = { readonly text: string } | { readonly missing: string }

/** Looked up when the server wants one, so that a password that was changed in the file counts from the next connection on. */
export function passwordFor({ password, passwordFile, database, user }: PostgresUrl, server: Server): Password {
  if (password !== undefined) return { text: password }
  const { path, named } = passwordFile
  try {
    const { mode } = statSync(path)
    if ((mode & 0o077) !== 0) return { missing: `${path} is not read because others than its owner may read or change it (chmod 600)` }
    const found = inPasswordFile(readGiven(path).toString(), { server, database, user })
    const login = `${keyOf(server)}, ${database} and ${user}`
    if (found === undefined) return { missing: `${path} has no line for ${login}` }
    return found === '' ? { missing: `the line for ${login} in ${path} ends without a password` } : { text: found }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { missing: named ? `${path} does not exist` : `there is no ${path}` }
    return { missing: `${path} cannot be read: ${messageOf(error)}` }
  }
}

interface Login {
  readonly server: Server
  readonly database: string
  readonly user: string
}

/** libpq writes the folder of a Unix socket that it was built with as localhost; Debian's is the other one. */
const USUAL_FOLDERS: ReadonlySet<string> = new Set(['/tmp', '/var/run/postgresql', '/run/postgresql'])

function nameOf({ host }: Server): string {
  return USUAL_FOLDERS.has(host) ? 'localhost' : host
}

function keyOf(server: Server): string {
  return `${nameOf(server)}:${server.port}`
}

/** A field ends at a colon; a backslash makes the next character one of the field. */
const FIELD = String.raw`((?:\\[^]?|[^:\\])*)`
const LINE = new RegExp(`^${FIELD}:${FIELD}:${FIELD}:${FIELD}:${FIELD}`)

/** From the first line that matches: https://www.postgresql.org/docs/current/libpq-pgpass.html */
function inPasswordFile(text: string, { server, database, user }: Login): string | undefined {
  const wanted = [nameOf(server), String(server.port), database, user]
  for (const line of text.split(/\r?\n/)) {
    const fields = line.startsWith('#') ? undefined : LINE.exec(line)?.slice(1)
    if (fields !== undefined && wanted.every((value, at) => fields[at] === '*' || unescaped(fields[at]!) === value))
      return unescaped(fields[4]!)
  }
  return undefined
}

function unescaped(field: string): string {
  return field.replace(/\\([^])/g, '$1')
}
