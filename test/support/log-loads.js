// Given to `node --import`: says on stderr which modules are loaded.
import { register } from 'node:module'

const hooks =
  'export async function load(url, context, next) { process._rawDebug("load " + url); return next(url, context) }'
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
