// A Bluesky PDS (SQLite, blobs on disk) with the PLC directory that it asks for identities (in memory), on 127.0.0.1.
// Environment: TREE (the folder with node_modules), DATA, PORT, PLC_PORT
import { createRequire } from 'node:module'
import http from 'node:http'
import path from 'node:path'

const { TREE, DATA, PORT, PLC_PORT } = process.env
const require = createRequire(path.join(TREE, 'x.js'))

// Both servers call listen(port), which would be every interface.
const listen = http.Server.prototype.listen
http.Server.prototype.listen = function (first, ...rest) {
  const options = first && typeof first === 'object' ? { ...first } : { port: first }
  return listen.call(this, { ...options, host: '127.0.0.1' }, ...rest.filter((x) => typeof x === 'function'))
}
const plc = require('@did-plc/server')
const pds = require('@atproto/pds')

const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: Number(PLC_PORT) })
await directory.start()

const env = {
  devMode: true,
  port: Number(PORT),
  hostname: 'localhost',
  version: 'test',
  dataDirectory: path.join(DATA, 'pds'),
  blobstoreDiskLocation: path.join(DATA, 'blobs'),
  didPlcUrl: `http://127.0.0.1:${PLC_PORT}`,
  adminPassword: 'admin-password',
  jwtSecret: 'a-secret-for-tests',
  serviceHandleDomains: ['.test'],
  bskyAppViewUrl: 'https://appview.invalid',
  bskyAppViewDid: 'did:example:invalid',
  modServiceUrl: 'https://moderator.invalid',
  modServiceDid: 'did:example:invalid',
  plcRotationKeyK256PrivateKeyHex: '1f'.repeat(32),
  inviteRequired: false,
  disableSsrfProtection: true,
  rateLimitsEnabled: false,
  crawlers: [],
}
const server = await pds.PDS.create(pds.envToCfg(env), pds.envToSecrets(env))
await server.start()

async function end() {
  await server.destroy().catch(() => {})
  await directory.destroy().catch(() => {})
  process.exit(0)
}
process.on('SIGTERM', end)
process.on('SIGINT', end)
