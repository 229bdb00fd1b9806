/**
 * A picture of a report, as it stands in the README: `node test/support/picture-report.js PAGE.html PICTURE.png`, with a
 * Chromium that is installed or that OUTEFFHOP_BROWSER names.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import sharp from 'sharp'

const [page, picture] = process.argv.slice(2)
if (page === undefined || picture === undefined) throw new Error('usage: picture-report.js PAGE.html PICTURE.png')
const [width, height] = [1000, 1170]
const colours = 24

const browser = await chromium.launch({
  executablePath: process.env.OUTEFFHOP_BROWSER ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
try {
  const tab = await browser.newPage({ viewport: { width, height }, colorScheme: 'light' })
  await tab.goto(pathToFileURL(resolve(page)).href)
  // The navigation says nothing in a picture, and the plots are what it is of.
  await tab.evaluate(() => {
    for (const element of document.querySelectorAll('nav, #verdicts, #errors, #outliers, footer')) element.remove()
    for (const figure of [...document.querySelectorAll('#histograms figure')].slice(3)) figure.remove()
  })
  const shot = await tab.screenshot({ fullPage: true })
  await sharp(shot)
    .extract({ left: 0, top: 0, width, height })
    .png({ palette: true, colours, effort: 10, compressionLevel: 9 })
    .toFile(picture)
} finally {
  await browser.close()
}
