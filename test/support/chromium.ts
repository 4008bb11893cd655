import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** The first of them on the PATH. */
export const CHROMIUM = (process.env['PATH'] ?? '')
  .split(':')
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find(isExecutable)

export const NO_CHROMIUM = 'Chromium is not on this machine: it comes with Debian’s package chromium'

/** No sandbox: neither root nor a container has one, and it only loads our own page. It does not use the network. */
export const CHROMIUM_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
