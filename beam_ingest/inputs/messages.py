"""The protobuf messages of the edges and components files, without a generated module.

Source: pychunkedgraph/io/protobuf/chunkEdges.proto and chunkComponents.proto. The descriptors are
built here so that no protoc is needed and the field numbers stand in one readable place.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

_FIELD = descriptor_pb2.FieldDescriptorProto

_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "EdgesMsg": [
        (1, "node_ids1", "bytes"),
        (2, "node_ids2", "bytes"),
        (3, "affinities", "bytes"),
        (4, "areas", "bytes"),
    ],
    "ChunkEdgesMsg": [
        (1, "in_chunk", "EdgesMsg"),
        (2, "cross_chunk", "EdgesMsg"),
        (3, "between_chunk", "EdgesMsg"),
    ],
    "ChunkComponentsMsg": [(1, "components", "packed uint64")],
}


def _classes() -> dict[str, type[message.Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="beam_ingest/messages.proto", package="beam_ingest", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=name)
        for number, field, kind in fields:
            entry = descriptor.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            if kind == "bytes":
                entry.type = _FIELD.TYPE_BYTES
            elif kind == "packed uint64":
                entry.type = _FIELD.TYPE_UINT64
                entry.label = _FIELD.LABEL_REPEATED
            else:
                entry.type = _FIELD.TYPE_MESSAGE
                entry.type_name = f".beam_ingest.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"beam_ingest.{name}"))
        for name in _MESSAGES
    }


def has_unknown_fields(content: message.Message) -> bool:
    """Whether parsing has passed over anything in `content` itself: parsers do so without a word."""
    return len(UnknownFieldSet(content)) > 0


_CLASSES = _classes()
ChunkEdgesMsg = _CLASSES["ChunkEdgesMsg"]
ChunkComponentsMsg = _CLASSES["ChunkComponentsMsg"]
