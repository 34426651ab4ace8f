// Opens a page in Chromium and prints as JSON what a person would see go wrong.
// Environment: TREE (the folder with node_modules), CHROMIUM, ROOT (1: Chromium needs its sandbox off), URL, WIDTH, SCHEME
import { createRequire } from 'node:module'
import path from 'node:path'

const { TREE, CHROMIUM, ROOT, URL: url, WIDTH, SCHEME } = process.env
const { chromium } = createRequire(path.join(TREE, 'x.js'))('playwright-core')

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ROOT === '1' ? ['--no-sandbox'] : [] })
try {
  const context = await browser.newContext({ viewport: { width: Number(WIDTH), height: 800 }, colorScheme: SCHEME })
  const page = await context.newPage()
  const errors = []
  const asked = []
  page.on('console', (line) => { if (line.type() === 'error') errors.push(line.text()) })
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(url)
  const seen = await page.evaluate(async () => {
    for (const image of document.images) image.loading = 'eager'
    await Promise.allSettled([...document.images].map((image) => image.decode()))
    const outside = (element) => {
      const inner = element.getBoundingClientRect()
      const outer = element.closest('article').getBoundingClientRect()
      return inner.width > 0 && (inner.right > outer.right + 0.5 || inner.left < outer.left - 0.5)
    }
    return {
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      articles: document.querySelectorAll('article').length,
      clipped: [...document.querySelectorAll('article *:not(use)')].filter(outside).map((element) => element.outerHTML),
      broken: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
      ground: getComputedStyle(document.body).backgroundColor,
    }
  })
  console.log(JSON.stringify({ ...seen, errors, asked }))
} finally {
  await browser.close()
}
