//! A hub on MQTT.
