import { readFileSync } from 'node:fs'
import { DatabaseError } from '../../database-error.ts'

/**
 * The `-wal` and `-shm` files that SQLite creates beside the database belong to the user who opens it. If the gateway runs as another user, it could not
 * write to them and would be locked out of its own database. Root is allowed: SQLite gives root's files to the database's owner.
 */
export function refuseForeignUser(file: string, owner: number, user: number | undefined): void {
  if (user === undefined || user === 0 || user === owner) return
  throw new DatabaseError(
    'forbidden',
    `${file} belongs to ${named(owner)}, but this runs as ${named(user)}. Nothing was opened: SQLite's -wal and -shm files would belong to ` +
      `${named(user)} and lock the gateway out. Run as ${named(owner)}: \`user: "${owner}"\` in compose.yaml, \`runAsUser: ${owner}\` in Kubernetes, or ` +
      `\`User=${nameOf(owner) ?? owner}\` in the systemd unit.`,
  )
}

function named(uid: number): string {
  const name = nameOf(uid)
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`
}

function nameOf(uid: number): string | undefined {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
    return lines.map((line) => line.split(':')).find((fields) => fields[2] === String(uid))?.[0]
  } catch {
    return undefined
  }
}
