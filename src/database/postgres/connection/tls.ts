import { getCACertificates, type ConnectionOptions } from 'node:tls'
import { messageOf } from '../../../errors.ts'
import { readGiven } from '../../../files.ts'
import { DatabaseError } from '../../database-error.ts'
import type { PostgresUrl } from '../../url/url-types.ts'

export type Encryption = false | ConnectionOptions

/**
 * The ways to connect, in order of preference, with libpq's meaning of `sslmode`. The driver's own differs: `prefer` never falls back, `require`
 * verifies, and without a mode it uses plain text.
 */
export function encryptions({ sslmode, sslrootcert }: PostgresUrl, host: string): readonly Encryption[] {
  // libpq ignores the mode on a Unix socket.
  return host.startsWith('/') ? [false] : WAYS[sslmode](sslrootcert)
}

const UNVERIFIED: ConnectionOptions = { rejectUnauthorized: false }

const WAYS: Readonly<Record<PostgresUrl['sslmode'], (rootCertificates: string | undefined) => readonly Encryption[]>> = {
  disable: () => [false],
  allow: () => [false, UNVERIFIED],
  prefer: () => [UNVERIFIED, false],
  // If a root certificate is given it is used, as libpq does for compatibility: https://www.postgresql.org/docs/current/libpq-ssl.html
  require: (file) => [file === undefined ? UNVERIFIED : anyNameSignedBy(file)],
  'verify-ca': (file) => [anyNameSignedBy(file)],
  'verify-full': (file) => [signedBy(file)],
}

function anyNameSignedBy(file: string | undefined): ConnectionOptions {
  return { ...signedBy(file), checkServerIdentity: () => undefined }
}

function signedBy(file: string | undefined): ConnectionOptions {
  if (file === undefined) return {}
  try {
    return { ca: file === 'system' ? getCACertificates('system') : readGiven(file) }
  } catch (error) {
    throw new DatabaseError(
      'refused',
      `The certificates named by sslrootcert cannot be read: ${messageOf(error)}. No connection was made.`,
      {
        cause: error,
      },
    )
  }
}

/** Whether this error allows trying the next way: never after a wrong password, which plain text would give away. */
export function mayDowngrade(error: { readonly message: string; readonly code?: string | undefined }): boolean {
  return (
    error.message === 'The server does not support SSL connections' ||
    error.message === 'There was an error establishing an SSL connection' ||
    /^(EPROTO$|ERR_SSL|ERR_TLS)/.test(error.code ?? '') ||
    // The server's pg_hba.conf allows only the other way.
    error.code === '28000'
  )
}
