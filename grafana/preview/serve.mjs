// The page, one dashboard, the fonts and icons of Grafana's packages, and Prometheus behind /api/v1.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const HERE = import.meta.dirname;
const TYPES = {
  '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json',
  '.png': 'image/png', '.woff2': 'font/woff2',
};
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet" href="/dist/main.css">
<style>html, body { margin: 0 }</style>
<script>window.__grafana_public_path__ = '/public/'</script>
<div id="root"></div><script type="module" src="/dist/main.js"></script>`;

export async function serve(prometheusUrl) {
  const served = { dashboard: '' };
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname.startsWith('/api/v1/')) return pass(prometheusUrl, request, response);
    if (pathname === '/') return response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    return send(fileOf(pathname, served.dashboard), response);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { served, url: `http://127.0.0.1:${server.address().port}/`, close: () => {
    server.close();
    server.closeAllConnections();
  } };
}

function fileOf(pathname, dashboard) {
  const packages = path.join(HERE, 'node_modules');
  const inter = path.join(packages, '@fontsource/inter/files');
  const mono = path.join(packages, '@fontsource/roboto-mono/files');
  if (pathname === '/dashboard.json') return dashboard;
  if (pathname.startsWith('/dist/')) return path.join(HERE, pathname);
  if (pathname.startsWith('/public/fonts/inter/')) {
    return path.join(inter, `inter-latin-${/Medium/.test(pathname) ? 500 : 400}-normal.woff2`);
  }
  if (pathname.startsWith('/public/fonts/')) return path.join(mono, 'roboto-mono-latin-400-normal.woff2');
  return path.join(packages, '@grafana/ui/dist', pathname.replace('/public/build/', '/public/'));
}

function send(file, response) {
  if (!fs.existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
  return fs.createReadStream(file).pipe(response);
}

function pass(prometheusUrl, request, response) {
  const { hostname, port } = new URL(prometheusUrl);
  const { method, headers, url } = request;
  const asked = http.request({ hostname, port, path: url, method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  asked.on('error', (error) => response.writeHead(502).end(String(error)));
  request.pipe(asked);
}
