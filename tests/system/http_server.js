// SPDX-License-Identifier: BSD-3-Clause
// node http_server.js ADDRESS PORT FILE: "/" is a line, "/file" the file as a stream, "/destroy" ends
// the connection without an answer, a POST gets its body's length. SIGTERM ends it.
const http = require("http"), fs = require("fs");
const [address, port, file] = process.argv.slice(2);

const server = http.createServer((request, reply) => {
	reply.on("error", () => {});
	if (request.url === "/file") {
		const stream = fs.createReadStream(file);
		stream.on("error", () => reply.destroy());
		stream.pipe(reply);
	} else if (request.url === "/destroy") {
		request.socket.destroy();
	} else if (request.method === "POST") {
		let length = 0;
		request.on("data", part => { length += part.length; });
		request.on("end", () => reply.end(length + " bytes\n"));
	} else {
		reply.end("Gazelle\n");
	}
});
server.listen(Number(port), address);
process.on("SIGTERM", () => {
	server.close();
	server.closeAllConnections();
});
