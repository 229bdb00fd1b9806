#!/usr/bin/env node
import { main } from '../dist/src/cli/main.js'
import { processWorld } from '../dist/src/cli/world.js'

process.exitCode = await main(process.argv.slice(2), processWorld())
