"""The side of a JSON-RPC connection that does no I/O."""

import json

import msgspec
import pytest

from aura_executors.adapter.json_rpc import RpcCall, RpcNotification, RpcPeer, RpcReply, RpcRequest, method_of


def test_requests_are_numbered_and_their_replies_find_back():
    peer: RpcPeer[str] = RpcPeer()
    assert json.loads(peer.request("a", {"x": 1}, "first")) == {
        "jsonrpc": "2.0", "id": 1, "method": "a", "params": {"x": 1},
    }  # fmt: skip
    peer.request("b", None, "named", id="n")
    assert json.loads(peer.request("c", None, "second"))["id"] == 2
    reply = peer.read(b'{"jsonrpc":"2.0","id":"n","result":{"y":2}}')
    assert isinstance(reply, RpcReply)
    assert (reply.then, bytes(reply.result), reply.error) == ("named", b'{"y":2}', None)
    refused = peer.read(b'{"id":1,"error":{"code":-32600,"message":"no"}}')
    assert isinstance(refused, RpcReply)
    assert refused.error
    assert (refused.then, refused.error.code, refused.error.message) == ("first", -32600, "no")
    again = peer.read(b'{"id":1,"result":null}')
    assert isinstance(again, RpcReply)
    assert again.then is None


def test_the_other_side_asks_and_tells():
    peer: RpcPeer[None] = RpcPeer(tagged=False)
    request = peer.read(b'{"method":"ask","id":0,"params":[1]}')
    assert isinstance(request, RpcRequest)
    assert (request.id, request.method, bytes(request.params)) == (0, "ask", b"[1]")
    told = peer.read(b'{"method":"tell"}')
    assert isinstance(told, RpcNotification)
    assert told.method == "tell"
    assert json.loads(peer.respond(0, None)) == {"id": 0, "result": None}
    assert json.loads(peer.refuse("x", "cannot"))["error"] == {"code": -32601, "message": "cannot"}
    assert json.loads(peer.notify("tell")) == {"method": "tell"}


@pytest.mark.parametrize("line", [b"[]", b"{", b"null", b'{"id":{}}', b'{"method":5}'])
def test_what_is_no_message_is_not_understood(line):
    with pytest.raises(msgspec.MsgspecError):
        RpcPeer[None]().read(line)


def test_an_object_without_anything_is_none():
    assert RpcPeer[None]().read(b"{}") is None


@pytest.mark.parametrize(
    ("line", "method"),
    [
        (b'{"method":"a/b","id":1}', b"a/b"),
        (b'{"jsonrpc":"2.0","method":"a"}', b"a"),
        (b'{"jsonrpc": "2.0", "method": "a"}', b"a"),
        (b'{"id":1,"method":"a"}', None),
        (b'{"method":"a\\u0062"}', None),
        (b'{"method":"a', None),
    ],
)
def test_the_method_is_told_without_decoding(line, method):
    assert method_of(line) == method


def test_a_call_is_decoded_at_once():
    assert msgspec.json.decode(b'{"method":"m","params":[1,2]}', type=RpcCall[list[int]]).params == [1, 2]
